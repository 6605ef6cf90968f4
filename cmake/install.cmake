# What `cmake --install` lays down: the library, its headers, the command, and a package that
# find_package(ashlar) finds:
#
#   find_package(ashlar 0.1 REQUIRED)
#   target_link_libraries(mine PRIVATE ashlar::ashlar)             # and #include "base/result.h"
#   target_link_libraries(my_tests PRIVATE ashlar::conformance)    # "conformance/conformance.h"
#   target_link_libraries(mine PRIVATE ashlar::c)                  # C: #include <ashlar.h>
#
# and, for C without CMake, a file for pkg-config.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(ASHLAR_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/ashlar)

install(TARGETS ashlar ashlar_c ashlar_conformance EXPORT ashlarTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET ashlar_cli)
  install(TARGETS ashlar_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(
  DIRECTORY src/
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ashlar
  FILES_MATCHING
  PATTERN "*.h"
  PATTERN "cli" EXCLUDE
  PATTERN "capi" EXCLUDE)
# C's own header stands beside the folder of C++'s: #include <ashlar.h>.
install(FILES src/capi/ashlar.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# Relative, so that an installed tree may be moved: lib/x86_64-linux-gnu/pkgconfig is three deep.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY
           ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig OUTPUT_VARIABLE ASHLAR_PC_TO_PREFIX)
configure_file(cmake/ashlar.pc.in ${CMAKE_BINARY_DIR}/ashlar.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/ashlar.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(EXPORT ashlarTargets NAMESPACE ashlar:: DESTINATION ${ASHLAR_PACKAGE_DIR})
configure_package_config_file(cmake/ashlarConfig.cmake.in ${CMAKE_BINARY_DIR}/ashlarConfig.cmake
                              INSTALL_DESTINATION ${ASHLAR_PACKAGE_DIR})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/ashlarConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/ashlarConfig.cmake ${CMAKE_BINARY_DIR}/ashlarConfigVersion.cmake
        DESTINATION ${ASHLAR_PACKAGE_DIR})
