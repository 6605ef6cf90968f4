# Tests: one program for all of GoogleTest's, and each script in test/. For ctest the program is
# cut into one entry per folder of src/ and per file of test/, read from the program itself after
# it is linked, so that no test can be left out; a process for each single test would spend more
# time starting under the sanitizers than testing.
find_package(GTest REQUIRED)
find_package(Python3 REQUIRED COMPONENTS Interpreter)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(LIBNBD REQUIRED IMPORTED_TARGET libnbd)

# A test that hangs is ended; no test is measured against a clock.
set(ASHLAR_TEST_TIMEOUT_SECONDS 900)
# sfdisk and sgdisk are in sbin, which a user's PATH leaves out on Debian.
set(ASHLAR_TEST_PATH "PATH=path_list_append:/usr/sbin:/sbin")

file(GLOB_RECURSE ASHLAR_WIDE_TESTS CONFIGURE_DEPENDS test/*_test.cc)
file(GLOB_RECURSE ASHLAR_TEST_HELPERS CONFIGURE_DEPENDS test/*.cc)
list(FILTER ASHLAR_TEST_HELPERS EXCLUDE
     REGEX "_test\\.cc$|/test/(package|witness_off|thread_safety)/")

add_executable(ashlar_tests ${ASHLAR_UNIT_TESTS} ${ASHLAR_WIDE_TESTS} ${ASHLAR_TEST_HELPERS})
target_include_directories(ashlar_tests PRIVATE ${CMAKE_SOURCE_DIR})
# Half of what a test takes to compile are checks of pointers in the test's own code, by the
# undefined-behaviour sanitizer. The code under test keeps those of alignment and of types.
if(ASHLAR_SANITIZE MATCHES "undefined")
  target_compile_options(ashlar_tests PRIVATE -fno-sanitize=alignment,null,object-size,vptr)
endif()
set(ASHLAR_TEST_PATHS ASHLAR_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
target_link_libraries(
  ashlar_tests
  PRIVATE ashlar ashlar_conformance GTest::gmock GTest::gtest_main OpenSSL::Crypto
          nlohmann_json::nlohmann_json tomlplusplus::tomlplusplus PkgConfig::ISAL
          PkgConfig::LIBNBD PkgConfig::SECCOMP PkgConfig::URING)
if(TARGET ashlar_cli_parts)
  target_link_libraries(ashlar_tests PRIVATE ashlar_cli_parts)
endif()
if(TARGET ashlar_cli)
  add_dependencies(ashlar_tests ashlar_cli)
  list(APPEND ASHLAR_TEST_PATHS ASHLAR_COMMAND="$<TARGET_FILE:ashlar_cli>")
endif()
set_source_files_properties(test/paths.cc PROPERTIES COMPILE_DEFINITIONS "${ASHLAR_TEST_PATHS}")

ashlar_hasten(ashlar_tests ${ASHLAR_COMMON_HEADERS} <gtest/gtest.h> [["topology/class.h"]]
              [["program/context.h"]])

set(ASHLAR_TEST_LIST ${CMAKE_BINARY_DIR}/ashlar_tests.cmake)
add_custom_command(
  TARGET ashlar_tests POST_BUILD
  COMMAND
    ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/test/group_tests.py --program
    $<TARGET_FILE:ashlar_tests> --source ${CMAKE_SOURCE_DIR} --results
    ${CMAKE_BINARY_DIR}/test-results --timeout ${ASHLAR_TEST_TIMEOUT_SECONDS} --environment
    ${ASHLAR_TEST_PATH} --output ${ASHLAR_TEST_LIST}
  BYPRODUCTS ${ASHLAR_TEST_LIST}
  COMMENT "Listing the tests"
  VERBATIM)
# Until the program is linked there is no list; one entry that says so must fail, not pass.
file(WRITE ${CMAKE_BINARY_DIR}/ashlar_tests_include.cmake
     "if(EXISTS \"${ASHLAR_TEST_LIST}\")\n  include(\"${ASHLAR_TEST_LIST}\")\nelse()\n"
     "  add_test(ashlar_tests_is_not_built ashlar_tests_is_not_built)\nendif()\n")
set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES
                                       ${CMAKE_BINARY_DIR}/ashlar_tests_include.cmake)

# Scripts: test/NAME.sh, run from the project's root with the command's path in ASHLAR; exit
# status 77 means skipped, and the script says why. Helpers for scripts are in folders of test/.
file(GLOB ASHLAR_TEST_SCRIPTS CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} test/*.sh)
foreach(script IN LISTS ASHLAR_TEST_SCRIPTS)
  if(TARGET ashlar_cli)
    cmake_path(GET script STEM name)
    add_test(NAME script/${name} COMMAND bash ${script} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(
      script/${name}
      PROPERTIES ENVIRONMENT "ASHLAR=$<TARGET_FILE:ashlar_cli>;ASHLAR_BUILD_DIR=${CMAKE_BINARY_DIR}"
                 ENVIRONMENT_MODIFICATION ${ASHLAR_TEST_PATH}
                 SKIP_RETURN_CODE 77
                 TIMEOUT ${ASHLAR_TEST_TIMEOUT_SECONDS})
  endif()
endforeach()

# The C API, from C: its test, and the example of its page.
set(ASHLAR_C_EXAMPLE ${CMAKE_BINARY_DIR}/c_api_example.c)
add_custom_command(
  OUTPUT ${ASHLAR_C_EXAMPLE}
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/test/extract_example.py
          ${CMAKE_SOURCE_DIR}/docs/c-api.md c ${ASHLAR_C_EXAMPLE}
  DEPENDS ${CMAKE_SOURCE_DIR}/docs/c-api.md ${CMAKE_SOURCE_DIR}/tools/test/extract_example.py
  VERBATIM)
add_executable(ashlar_c_test test/c_api/c_api_test.c)
add_executable(ashlar_c_example ${ASHLAR_C_EXAMPLE})
# The page says #include <ashlar.h>, as it is installed.
target_include_directories(ashlar_c_example PRIVATE ${CMAKE_SOURCE_DIR}/src/capi)
foreach(program ashlar_c_test ashlar_c_example)
  target_link_libraries(${program} PRIVATE ashlar)
  target_compile_options(${program} PRIVATE -Wstrict-prototypes)
  set_target_properties(${program} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF
                                              LINKER_LANGUAGE CXX)
endforeach()
target_compile_definitions(ashlar_c_example PRIVATE _POSIX_C_SOURCE=200809L)
add_test(NAME c_api/test COMMAND ashlar_c_test)
add_test(NAME c_api/example COMMAND bash ${CMAKE_SOURCE_DIR}/test/c_api/example.sh
                                    $<TARGET_FILE:ashlar_c_example>)
set_tests_properties(c_api/test c_api/example PROPERTIES TIMEOUT ${ASHLAR_TEST_TIMEOUT_SECONDS})

# Without the witness nothing of it is left: the hot parts, built as release builds are.
add_library(ashlar_witness_off OBJECT test/witness_off/witness_off.cc src/base/mutex.cc
                                      src/base/witness.cc src/base/inline_scope.cc
                                      src/program/executor.cc src/program/context.cc)
target_include_directories(ashlar_witness_off PRIVATE src)
target_compile_definitions(ashlar_witness_off PRIVATE ASHLAR_WITNESS=0)
target_compile_options(ashlar_witness_off PRIVATE -O2 -fno-sanitize=all)
target_link_libraries(ashlar_witness_off PRIVATE fmt::fmt)
add_test(NAME witness_off
         COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/test/witness_off/check.py --contains
                 ashlar::Context::execute $<TARGET_OBJECTS:ashlar_witness_off>
         COMMAND_EXPAND_LISTS)
if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  add_test(NAME witness_off/library
           COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/test/witness_off/check.py --contains
                   ashlar::Context::execute $<TARGET_FILE:ashlar>)
endif()

# The style of the tree, and the proof that the checker sees what it should.
add_test(NAME tidy COMMAND ${Python3_EXECUTABLE} tools/tidy/tidy.py
         WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
add_test(NAME tidy_test COMMAND ${Python3_EXECUTABLE} tools/tidy/tidy_test.py
         WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
add_test(NAME group_tests_test COMMAND ${Python3_EXECUTABLE} tools/test/group_tests_test.py
         WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
set_tests_properties(tidy tidy_test group_tests_test PROPERTIES TIMEOUT 60)
