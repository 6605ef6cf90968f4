#!/bin/sh
# compile.sh CHECKOUT CCACHE COMPILER ARGUMENT...: compiles through the compiler cache.
# Paths count from the checkout, so that one cache serves every checkout of the project. The
# sloppiness is what the cache asks for before it takes part in precompiled headers.
export CCACHE_BASEDIR="$1" CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros
shift
# A precompiled header is made without the old one beside it: the cache would know it by that
# instead of by the headers. And it is known by the headers' bytes, comments and all (depend mode),
# not by what the preprocessor leaves of them: the compiler tells by the bytes whether it has seen a
# header, and would take one twice of which a comment has changed.
case " $* " in
  *" -x c++-header "*)
    export CCACHE_DEPEND=1
    previous=
    for argument; do
      [ "$previous" != -o ] || rm -f "$argument"
      previous=$argument
    done ;;
esac
exec "$@"
