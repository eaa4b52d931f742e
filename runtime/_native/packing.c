/* pack and unpack: plain values as bytes, where pickle would cost more than the call.
 *
 * A packed value begins with a letter, as no pickle does, for the kind of it:
 *
 *     N T F    None, True, False
 *     i f      an int of 64 bits, a float
 *     s y      short ASCII text, short bytes: length, content
 *     g        a function: text for its module's name, text for its own
 *     t        a short tuple: length, values
 *     I D      a list of ints of 64 bits, a list of floats: length, numbers
 *
 * What comes out equals what pickle makes of it. So only exact types are packed; and a
 * list that occurs twice, which has to come out as one, is left to pickle, as is a value
 * of many containers, which could hold one tuple over and over. Numbers have the byte
 * order of the machine: packed values never leave the process.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

/* Tuples and lists in one value, items of a tuple, bytes of text. Arbitrary: a call with
 * its arguments is far below. */
enum { MAX_CONTAINERS = 16, MAX_ITEMS = 255, MAX_TEXT = 4096 };

/* Packing */

typedef struct {
    native_state_t *state;
    unsigned char *content; /* `first_room`, or allocated */
    size_t size;
    size_t room;
    int container_count;
    int list_count;
    PyObject *lists[MAX_CONTAINERS]; /* borrowed: those that were packed so far */
    unsigned char first_room[512];
} packer_t;

/* Return room for so many bytes more; NULL without memory. */
static unsigned char *
packer_add(packer_t *packer, size_t size)
{
    size_t needed = packer->size + size;
    if (needed > packer->room) {
        bool is_first = packer->content == packer->first_room;
        size_t room = 2 * needed;
        unsigned char *content = PyMem_Realloc(is_first ? NULL : packer->content, room);
        if (content == NULL) {
            return NULL;
        }
        if (is_first) {
            memcpy(content, packer->first_room, packer->size);
        }
        packer->content = content;
        packer->room = room;
    }
    unsigned char *added = packer->content + packer->size;
    packer->size = needed;
    return added;
}

static bool
pack_letter(packer_t *packer, char letter)
{
    unsigned char *added = packer_add(packer, 1);
    if (added != NULL) {
        *added = (unsigned char)letter;
    }
    return added != NULL;
}

/* Add a letter and a number of so many bytes. */
static bool
pack_number(packer_t *packer, char letter, const void *number, size_t size)
{
    unsigned char *added =
        pack_letter(packer, letter) ? packer_add(packer, size) : NULL;
    if (added != NULL) {
        memcpy(added, number, size);
    }
    return added != NULL;
}

static bool
pack_text(packer_t *packer, char letter, const void *text, Py_ssize_t length)
{
    uint16_t short_length = (uint16_t)length;
    if (length > MAX_TEXT
        || !pack_number(packer, letter, &short_length, sizeof(short_length))) {
        return false;
    }
    unsigned char *added = packer_add(packer, (size_t)length);
    if (added != NULL) {
        memcpy(added, text, (size_t)length);
    }
    return added != NULL;
}

static bool
pack_str(packer_t *packer, PyObject *text)
{
    return PyUnicode_CheckExact(text) && PyUnicode_IS_ASCII(text)
           && pack_text(packer, 's', PyUnicode_1BYTE_DATA(text),
                        PyUnicode_GET_LENGTH(text));
}

/* The function that a module has under a name, a new reference; NULL if it is not there
 * at once. */
static PyObject *
find_function(PyObject *module_name, PyObject *name)
{
    PyObject *module = PyImport_GetModule(module_name);
    PyObject *found = NULL;
    if (module != NULL && PyModule_CheckExact(module)) {
        PyDict_GetItemRef(PyModule_GetDict(module), name, &found);
    }
    Py_XDECREF(module);
    PyErr_Clear();
    return found;
}

/* Pack a function by its name, if it is what is found there now. */
static bool
pack_function(packer_t *packer, PyObject *function)
{
    PyObject *module_name = PyObject_GetAttr(function, packer->state->name_module);
    PyObject *name = PyObject_GetAttr(function, packer->state->name_qualname);
    bool is_packed = false;
    if (module_name != NULL && name != NULL && PyUnicode_CheckExact(module_name)) {
        PyObject *found = find_function(module_name, name);
        is_packed = found == function && pack_letter(packer, 'g')
                    && pack_str(packer, module_name) && pack_str(packer, name);
        Py_XDECREF(found);
    }
    Py_XDECREF(module_name);
    Py_XDECREF(name);
    PyErr_Clear();
    return is_packed;
}

static bool
get_int(PyObject *value, int64_t *number)
{
    if (!PyLong_CheckExact(value)) {
        return false;
    }
    if (PyUnstable_Long_IsCompact((PyLongObject *)value)) {
        *number = PyUnstable_Long_CompactValue((PyLongObject *)value);
        return true;
    }
    int overflow;
    *number = PyLong_AsLongLongAndOverflow(value, &overflow);
    return overflow == 0;
}

static bool
get_float(PyObject *value, double *number)
{
    bool is_float = PyFloat_CheckExact(value);
    if (is_float) {
        *number = PyFloat_AS_DOUBLE(value);
    }
    return is_float;
}

/* Note a list; false if it was noted before. */
static bool
packer_note_list(packer_t *packer, PyObject *list)
{
    for (int i = 0; i < packer->list_count; i++) {
        if (packer->lists[i] == list) {
            return false;
        }
    }
    packer->lists[packer->list_count++] = list;
    return true;
}

/* Pack a list of one kind of numbers. Somebody may change it meanwhile. */
static bool
pack_list(packer_t *packer, PyObject *list)
{
    uint64_t length = (uint64_t)PyList_GET_SIZE(list);
    PyObject *first = length > 0 ? PyList_GetItemRef(list, 0) : NULL;
    bool has_floats = first != NULL && PyFloat_CheckExact(first);
    bool is_packed = false;
    Py_XDECREF(first);
    if (!packer_note_list(packer, list)
        || !pack_number(packer, has_floats ? 'D' : 'I', &length, sizeof(length))) {
        goto done;
    }
    unsigned char *numbers = packer_add(packer, length * sizeof(uint64_t));
    is_packed = numbers != NULL;
    for (uint64_t i = 0; is_packed && i < length; i++) {
        union {
            int64_t of_int;
            double of_float;
        } number;
        PyObject *item = PyList_GetItemRef(list, (Py_ssize_t)i);
        is_packed = item != NULL
                    && (has_floats ? get_float(item, &number.of_float)
                                   : get_int(item, &number.of_int));
        Py_XDECREF(item);
        if (is_packed) {
            memcpy(numbers + i * sizeof(number), &number, sizeof(number));
        }
    }
done:
    PyErr_Clear(); /* it became shorter */
    return is_packed;
}

static bool pack_value(packer_t *packer, PyObject *value);

static bool
pack_tuple(packer_t *packer, PyObject *tuple)
{
    Py_ssize_t length = PyTuple_GET_SIZE(tuple);
    uint8_t short_length = (uint8_t)length;
    if (length > MAX_ITEMS || !pack_number(packer, 't', &short_length, sizeof(short_length))) {
        return false;
    }
    for (Py_ssize_t i = 0; i < length; i++) {
        if (!pack_value(packer, PyTuple_GET_ITEM(tuple, i))) {
            return false;
        }
    }
    return true;
}

/* Add a value to what was packed; false, with no exception set, leaves it to pickle. */
static bool
pack_value(packer_t *packer, PyObject *value)
{
    int64_t of_int;
    double of_float;
    if (get_int(value, &of_int)) {
        return pack_number(packer, 'i', &of_int, sizeof(of_int));
    }
    if (value == Py_None) {
        return pack_letter(packer, 'N');
    }
    if (PyBool_Check(value)) {
        return pack_letter(packer, value == Py_True ? 'T' : 'F');
    }
    if (PyUnicode_Check(value)) {
        return pack_str(packer, value);
    }
    if (PyTuple_CheckExact(value)) {
        return packer->container_count++ < MAX_CONTAINERS && pack_tuple(packer, value);
    }
    if (get_float(value, &of_float)) {
        return pack_number(packer, 'f', &of_float, sizeof(of_float));
    }
    if (PyList_CheckExact(value)) {
        return packer->container_count++ < MAX_CONTAINERS && pack_list(packer, value);
    }
    if (PyFunction_Check(value)) {
        return pack_function(packer, value);
    }
    if (PyBytes_CheckExact(value)) {
        return pack_text(packer, 'y', PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    }
    return false;
}

PyObject *
native_pack(PyObject *module, PyObject *value)
{
    packer_t packer;
    packer.state = PyModule_GetState(module);
    packer.content = packer.first_room;
    packer.room = sizeof(packer.first_room);
    packer.size = 0;
    packer.container_count = packer.list_count = 0;
    PyObject *packed;
    if (pack_value(&packer, value)) {
        packed = PyBytes_FromStringAndSize((char *)packer.content,
                                           (Py_ssize_t)packer.size);
    }
    else {
        packed = Py_NewRef(Py_NotImplemented);
    }
    if (packer.content != packer.first_room) {
        PyMem_Free(packer.content);
    }
    return packed;
}

/* Unpacking */

typedef struct {
    const unsigned char *next;
    size_t left;
} unpacker_t;

/* Copy the next bytes to somewhere; false with an exception if they are not there. */
static bool
unpacker_take(unpacker_t *unpacker, void *content, size_t size)
{
    if (size > unpacker->left) {
        PyErr_SetString(PyExc_ValueError, "the packed value ends too early");
        return false;
    }
    memcpy(content, unpacker->next, size);
    unpacker->next += size;
    unpacker->left -= size;
    return true;
}

static PyObject *unpack_value(unpacker_t *unpacker);

/* Unpack text or bytes. */
static PyObject *
unpack_text(unpacker_t *unpacker, bool is_bytes)
{
    uint16_t length;
    if (!unpacker_take(unpacker, &length, sizeof(length))) {
        return NULL;
    }
    PyObject *text =
        is_bytes ? PyBytes_FromStringAndSize(NULL, length) : PyUnicode_New(length, 127);
    if (text != NULL && length > 0
        && !unpacker_take(unpacker,
                          is_bytes ? (void *)PyBytes_AS_STRING(text)
                                   : PyUnicode_DATA(text),
                          length)) {
        Py_CLEAR(text);
    }
    return text;
}

static PyObject *
unpack_function(unpacker_t *unpacker)
{
    PyObject *module_name = unpack_value(unpacker);
    PyObject *name = module_name != NULL ? unpack_value(unpacker) : NULL;
    PyObject *function = name != NULL ? find_function(module_name, name) : NULL;
    if (name != NULL && function == NULL) {
        PyObject *module = PyImport_Import(module_name);
        function = module != NULL ? PyObject_GetAttr(module, name) : NULL;
        Py_XDECREF(module);
    }
    Py_XDECREF(module_name);
    Py_XDECREF(name);
    return function;
}

static PyObject *
unpack_tuple(unpacker_t *unpacker)
{
    uint8_t length;
    if (!unpacker_take(unpacker, &length, sizeof(length))
        || Py_EnterRecursiveCall(" while a tuple was unpacked")) {
        return NULL;
    }
    PyObject *tuple = PyTuple_New(length);
    for (Py_ssize_t i = 0; tuple != NULL && i < length; i++) {
        PyObject *item = unpack_value(unpacker);
        if (item == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, i, item);
    }
    Py_LeaveRecursiveCall();
    return tuple;
}

static PyObject *
unpack_int(unpacker_t *unpacker)
{
    int64_t number;
    return unpacker_take(unpacker, &number, sizeof(number)) ? PyLong_FromLongLong(number)
                                                            : NULL;
}

static PyObject *
unpack_float(unpacker_t *unpacker)
{
    double number;
    return unpacker_take(unpacker, &number, sizeof(number)) ? PyFloat_FromDouble(number)
                                                            : NULL;
}

static PyObject *
unpack_list(unpacker_t *unpacker, PyObject *(*unpack_item)(unpacker_t *))
{
    uint64_t length;
    if (!unpacker_take(unpacker, &length, sizeof(length))) {
        return NULL;
    }
    if (length > unpacker->left / sizeof(uint64_t)) { /* before memory is taken for it */
        PyErr_SetString(PyExc_ValueError, "the packed list ends too early");
        return NULL;
    }
    PyObject *list = PyList_New((Py_ssize_t)length);
    for (uint64_t i = 0; list != NULL && i < length; i++) {
        PyObject *item = unpack_item(unpacker);
        if (item == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list;
}

static PyObject *
unpack_value(unpacker_t *unpacker)
{
    char letter;
    if (!unpacker_take(unpacker, &letter, 1)) {
        return NULL;
    }
    switch (letter) {
    case 'N':
        Py_RETURN_NONE;
    case 'T':
        Py_RETURN_TRUE;
    case 'F':
        Py_RETURN_FALSE;
    case 'i':
        return unpack_int(unpacker);
    case 'f':
        return unpack_float(unpacker);
    case 's':
        return unpack_text(unpacker, false);
    case 'y':
        return unpack_text(unpacker, true);
    case 'g':
        return unpack_function(unpacker);
    case 't':
        return unpack_tuple(unpacker);
    case 'I':
        return unpack_list(unpacker, unpack_int);
    case 'D':
        return unpack_list(unpacker, unpack_float);
    default:
        return PyErr_Format(PyExc_ValueError, "nothing is packed as %d", (int)letter);
    }
}

PyObject *
native_unpack(PyObject *Py_UNUSED(module), PyObject *packed)
{
    Py_buffer buffer;
    if (PyObject_GetBuffer(packed, &buffer, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    unpacker_t unpacker = {buffer.buf, (size_t)buffer.len};
    bool is_pickle = buffer.len == 0 || *unpacker.next >= 0x80;
    PyObject *value = is_pickle ? Py_NewRef(Py_NotImplemented) : unpack_value(&unpacker);
    PyBuffer_Release(&buffer);
    return value;
}
