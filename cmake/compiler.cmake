# Language, warnings, sanitizers and the compiler cache: the same for every target of the project.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug or Release" FORCE)
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror)
# Data without its lock is refused where the compiler can tell (base/thread_annotations.h).
add_compile_options("$<$<CXX_COMPILER_ID:Clang>:-Wthread-safety;-Werror=thread-safety>")

# Frame pointers make every profile and every sanitizer's report readable, and cost one register.
add_compile_options(-fno-omit-frame-pointer)

# Assertions of the project stay on in every build; those of the standard library where speed is
# not asked for.
add_compile_options("$<$<CONFIG:Debug>:-D_GLIBCXX_ASSERTIONS>")

# -O2 without NDEBUG: -O3 buys nothing that was measured, and ASHLAR_ASSERT does not look at it.
set(CMAKE_CXX_FLAGS_RELEASE "-O2")
# g++ takes three times as long over -O1 with sanitizers as over -O0, and the tests gain nothing.
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")

if(ASHLAR_SANITIZE)
  add_compile_options(-fsanitize=${ASHLAR_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${ASHLAR_SANITIZE})
  # Lines are what a sanitizer's report needs of debugging information. And of checks: a null
  # pointer ends the program by itself, sizes of objects are not known at -O0; both take g++ long.
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-g1>)
  if(ASHLAR_SANITIZE MATCHES "undefined")
    add_compile_options($<$<CXX_COMPILER_ID:GNU>:-fno-sanitize=null,object-size>)
  endif()
  # What g++ says of itself: with sanitizers this one has false alarms. It stays on in release.
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
if(ASHLAR_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(ASHLAR_CCACHE ccache)
  if(ASHLAR_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER sh ${CMAKE_SOURCE_DIR}/tools/build/compile.sh
                                    ${CMAKE_SOURCE_DIR} ${ASHLAR_CCACHE})
    set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
  endif()
endif()

# ashlar_hasten(TARGET HEADER...): parses the headers that nearly every source of the target
# includes once for all of them, and compiles the sources of one folder together, a few at a time:
# what they instantiate is compiled once, too. So names in the anonymous namespaces of a folder
# differ. Only in the builds for tests, and only with g++: the others prove that each source
# includes what it needs. ASHLAR_JOIN=OFF compiles each source alone, for who changes one again and
# again.
option(ASHLAR_JOIN "Compile sources of one folder together, in the builds for tests with g++" ON)
set(ASHLAR_JOINED 8)
function(ashlar_hasten target)
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug" OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    return()
  endif()
  target_precompile_headers(${target} PRIVATE ${ARGN})
  # What the compiler cache needs to know a source by.
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
  if(NOT ASHLAR_JOIN)
    return()
  endif()
  # Not by CMake's own UNITY_BUILD: its units name their sources by absolute paths, and the compiler
  # cache would not serve two checkouts.
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR})
  get_target_property(sources ${target} SOURCES)
  set(units "")
  set(names "")
  foreach(source IN LISTS sources)
    get_source_file_property(alone ${source} ASHLAR_ALONE)
    get_source_file_property(definitions ${source} COMPILE_DEFINITIONS)
    get_source_file_property(options ${source} COMPILE_OPTIONS)
    if(alone OR definitions OR options)
      list(APPEND units ${source})
      continue()
    endif()
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY ${CMAKE_SOURCE_DIR})
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${CMAKE_SOURCE_DIR})
    cmake_path(GET source PARENT_PATH folder)
    string(MAKE_C_IDENTIFIER "${folder}" folder)
    if(NOT DEFINED count_${folder})
      set(count_${folder} 0)
    endif()
    math(EXPR part "${count_${folder}} / ${ASHLAR_JOINED}")
    math(EXPR count_${folder} "${count_${folder}} + 1")
    set(name ${folder}_${part})
    string(APPEND text_${name} "#include \"${source}\"\n")
    list(APPEND names ${name})
  endforeach()
  list(REMOVE_DUPLICATES names)
  foreach(name IN LISTS names)
    set(unit ${CMAKE_BINARY_DIR}/joined/${target}/${name}.cc)
    file(CONFIGURE OUTPUT ${unit} CONTENT "${text_${name}}" @ONLY)
    list(APPEND units ${unit})
  endforeach()
  set_target_properties(${target} PROPERTIES SOURCES "${units}")
endfunction()
set(ASHLAR_COMMON_HEADERS
    <algorithm> <array> <atomic> <bit> <cstdint> <cstring> <functional> <map> <memory> <optional>
    <span> <string> <string_view> <unordered_map> <utility> <variant> <vector> <fmt/format.h>)
