"""Builds the walker of survey packets into an extension module where that can be; all else is in pyproject.toml."""

import os

from setuptools import Extension, setup

try:
    from Cython.Build import cythonize
except ImportError:
    extensions = []
else:
    extensions = cythonize(
        [Extension("schemas.walker", ["schemas/walker.py"], extra_compile_args=["-g0"] if os.name == "posix" else [])],
        build_dir="build",
        compiler_directives={
            "language_level": "3",
            "annotation_typing": False,
            "boundscheck": True,
            "wraparound": False,
            "initializedcheck": False,
        },
    )
    for extension in extensions:
        extension.optional = True  # without a compiler the same file runs as it is

setup(ext_modules=extensions)
