from runtime._cli.block_size import BlockSize

MILLISECOND = 1_000_000


def after(size, *, item_ns, blocks):
    for _ in range(blocks):
        size.learn(size.items, size.items * item_ns)
    return size.items


def test_first_block_is_one_item():
    assert BlockSize(limit=1000).items == 1


def test_cheap_items_grow_to_the_limit():
    assert after(BlockSize(limit=1000), item_ns=100, blocks=10) == 1000


def test_growth_is_gradual():
    assert after(BlockSize(limit=1000), item_ns=100, blocks=1) == 4


def test_dear_items_stay_alone():
    assert after(BlockSize(limit=1000), item_ns=50 * MILLISECOND, blocks=10) == 1


def test_size_settles_at_the_target_time():
    assert after(BlockSize(limit=1000), item_ns=MILLISECOND, blocks=10) == 5


def test_items_that_become_dear_shrink_the_block():
    size = BlockSize(limit=1000)
    after(size, item_ns=100, blocks=10)

    assert after(size, item_ns=50 * MILLISECOND, blocks=10) == 1


def test_block_that_took_no_time_is_no_error():
    size = BlockSize(limit=10)
    size.learn(0, 0)

    assert size.items == 4
