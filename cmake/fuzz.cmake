# Fuzz targets: fuzz/NAME_fuzz.cc defines LLVMFuzzerTestOneInput, with seeds in fuzz/corpus/NAME/.
#
# With ASHLAR_FUZZ (preset fuzz, clang) each becomes bin/NAME_fuzz, driven by libFuzzer. In a build
# with tests each becomes bin/NAME_replay, driven by fuzz/replay.cc: it runs the seeds and a fixed
# number of seeded mutations of them, the same on every machine, as one entry of ctest.
file(GLOB ASHLAR_FUZZERS CONFIGURE_DEPENDS fuzz/*_fuzz.cc)

# add_fuzz_program(NAME SOURCES...): one target, linked with what any of them needs.
function(add_fuzz_program name)
  add_executable(${name} ${ARGN})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ashlar nlohmann_json::nlohmann_json)
endfunction()

if(ASHLAR_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "ASHLAR_FUZZ needs clang, which brings libFuzzer: cmake --preset fuzz")
  endif()
  add_custom_target(fuzzers)
  foreach(source IN LISTS ASHLAR_FUZZERS)
    cmake_path(GET source STEM name)
    add_fuzz_program(${name} ${source})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzzers ${name})
  endforeach()
endif()

if(ASHLAR_TESTS AND NOT ASHLAR_FUZZ)
  foreach(source IN LISTS ASHLAR_FUZZERS)
    cmake_path(GET source STEM stem)
    string(REGEX REPLACE "_fuzz$" "" name ${stem})
    add_fuzz_program(${name}_replay ${source} fuzz/replay.cc)
    add_test(NAME fuzz/${name} COMMAND ${name}_replay ${CMAKE_SOURCE_DIR}/fuzz/corpus/${name})
    set_tests_properties(fuzz/${name} PROPERTIES TIMEOUT ${ASHLAR_TEST_TIMEOUT_SECONDS})
  endforeach()
endif()
