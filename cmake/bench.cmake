# Benchmarks: bench/NAME_bench.cc becomes bin/NAME_bench, which takes --json FILE; other files in
# bench/ are shared by all. bin/nbd_lean is the client with which bench/nbd/run.py measures servers;
# bin/nbd_file_server is what bench/nbd/file_reads.py measures.
# They are built when asked for (target benches, ./do bench), or with everything (ASHLAR_BENCH).
file(GLOB ASHLAR_BENCHES CONFIGURE_DEPENDS bench/*_bench.cc)
file(GLOB ASHLAR_BENCH_SHARED CONFIGURE_DEPENDS bench/*.cc)
list(FILTER ASHLAR_BENCH_SHARED EXCLUDE REGEX "_bench\\.cc$")

add_custom_target(benches)

# add_bench(NAME SOURCES...)
function(add_bench name)
  add_executable(${name} EXCLUDE_FROM_ALL ${ARGN})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ashlar nlohmann_json::nlohmann_json)
  add_dependencies(benches ${name})
  if(ASHLAR_BENCH)
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL OFF)
  endif()
endfunction()

foreach(source IN LISTS ASHLAR_BENCHES)
  cmake_path(GET source STEM name)
  add_bench(${name} ${source} ${ASHLAR_BENCH_SHARED})
endforeach()
add_bench(nbd_lean bench/nbd/lean_client.cc bench/nbd/lean_main.cc)
add_bench(nbd_file_server bench/nbd/file_server_main.cc)
