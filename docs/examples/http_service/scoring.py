"""The work of the service: how easy is a text to read? Plain Python, CPU-bound."""

from collections import Counter

__all__ = ("score",)


def score(text: str) -> dict[str, object]:
    """Tokenise a text and score it, after Flesch (1948).

    Raises:
      ValueError: there are no words in it.
    """
    words = _words(text)
    if not words:
        raise ValueError("a text needs words")
    sentences = max(1, sum(text.count(end) for end in ".!?"))
    syllables = sum(_syllables(word) for word in words)
    count = len(words)
    ease = 206.835 - 1.015 * count / sentences - 84.6 * syllables / count
    return {
        "words": len(words),
        "sentences": sentences,
        "syllables": syllables,
        "reading_ease": round(ease, 2),
        "common": [word for word, _ in Counter(words).most_common(3)],
    }


def _words(text: str) -> list[str]:
    """Cut a text at everything that is no letter."""
    words = []
    start = None
    for position, character in enumerate(text):
        if character.isalpha():
            if start is None:
                start = position
        elif start is not None:
            words.append(text[start:position].lower())
            start = None
    if start is not None:
        words.append(text[start:].lower())
    return words


def _syllables(word: str) -> int:
    """Count groups of vowels, as a first guess does."""
    count = 0
    was_vowel = False
    for letter in word:
        is_vowel = letter in "aeiouy"
        count += is_vowel and not was_vowel
        was_vowel = is_vowel
    return max(1, count)
