# Benchmarks: bench/NAME_bench.cc becomes bin/NAME_bench; other files in bench/ are shared by all.
# They are built only when asked for (target benches, ./do bench), and are simply not defined where
# Google Benchmark is not installed.
find_package(benchmark QUIET)
pkg_check_modules(BENCH_LIBNBD QUIET IMPORTED_TARGET libnbd)

if(benchmark_FOUND AND BENCH_LIBNBD_FOUND)
  file(GLOB ASHLAR_BENCHES CONFIGURE_DEPENDS bench/*_bench.cc)
  file(GLOB ASHLAR_BENCH_SHARED CONFIGURE_DEPENDS bench/*.cc)
  list(FILTER ASHLAR_BENCH_SHARED EXCLUDE REGEX "_bench\\.cc$")

  add_custom_target(benches)
  foreach(source IN LISTS ASHLAR_BENCHES)
    cmake_path(GET source STEM name)
    add_executable(${name} EXCLUDE_FROM_ALL ${source} ${ASHLAR_BENCH_SHARED})
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
    target_link_libraries(
      ${name} PRIVATE ashlar benchmark::benchmark PkgConfig::BENCH_LIBNBD PkgConfig::URING
                      nlohmann_json::nlohmann_json)
    add_dependencies(benches ${name})
  endforeach()
endif()

# The client that measures NBD servers, bin/nbd_lean: driven by bench/nbd/run.py.
file(GLOB ASHLAR_NBD_LEAN CONFIGURE_DEPENDS bench/nbd/*.cc)
add_executable(nbd_lean EXCLUDE_FROM_ALL ${ASHLAR_NBD_LEAN})
target_include_directories(nbd_lean PRIVATE ${CMAKE_SOURCE_DIR})
target_link_libraries(nbd_lean PRIVATE ashlar)
if(TARGET benches)
  add_dependencies(benches nbd_lean)
endif()
