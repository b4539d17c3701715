# Types for building walker.py into an extension module. The code itself checks every place against the end of
# the data; setup.py leaves the bounds of all arrays checked in the compiled form too.

cimport cython

cdef long long _END, _FIXED, _MAYBE_FIXED, _MAYBE_NUMBER, _NUMBER, _LENGTH, _MAYBE_LENGTH, _UNION
cdef long long _ITEMS, _HISTORY, _MATCH, _TAKE_NULL, _TAKE_BOOL, _TAKE_NUMBER, _TAKE_FLOAT, _TAKE_DOUBLE
cdef signed char _ABSENT, _NULL, _BOOL, _INT, _FLOAT, _DOUBLE, _TEXT
cdef long long _MOST_BITS, _REFUSED, _WORDS, _LEAST_ROWS

cdef class Program:
    cdef public object code
    cdef public tuple patterns

cdef class Walk:
    cdef public long long width, rows
    cdef public list texts
    cdef public object bits, kinds, starts
    cdef long long[::1] _code, _bits
    cdef signed char[::1] _kinds
    cdef tuple _patterns
    cdef const unsigned char[::1] _data
    cdef bytes _bytes
    cdef long long _end, _base, _value

    @cython.locals(_turn="long long", width="long long", cell="long long", behind="long long", starts="long long[::1]")
    cpdef long long add(
        self, Program program, long long run, bytes data, long long at, long long end, long long count
    ) except? -2

    @cython.locals(
        data="const unsigned char[::1]", end="long long", op="long long", null="long long", size="long long", byte="long long", _turn="long long",
        code="long long[::1]"
    )
    cdef long long _run(self, long long pc, long long at) except? -2

    @cython.locals(
        _turn="long long", least="long long", most="long long", time="long long", named="long long", count="long long", behind="long long", bits="long long"
    )
    cdef long long _items(self, long long run, long long at, long long slot, long long given) except? -2

    @cython.locals(end="long long", cell="long long", behind="long long", bits="long long", place="long long")
    cdef long long _take(self, long long op, long long slot, long long at) except? -2

    @cython.locals(end="long long", low="long long", high="long long", shift="long long", byte="long long")
    cdef long long _number(self, long long at) except? -2
