# SPDX-License-Identifier: Apache-2.0
# libfathom, the target fathom::fathom: every folder below the public interface in one library,
# static or, with BUILD_SHARED_LIBS, shared. What it needs is in its package files.
include(CMakePackageConfigHelpers)

set(library_objects)
foreach(folder base formats text kernels model probe depth encode api)
  list(APPEND library_objects $<TARGET_OBJECTS:fathom_${folder}>)
endforeach()
add_library(libfathom ${library_objects})
add_library(fathom::fathom ALIAS libfathom)
set_target_properties(libfathom PROPERTIES
  OUTPUT_NAME fathom EXPORT_NAME fathom LINKER_LANGUAGE CXX
  VERSION ${PROJECT_VERSION} SOVERSION 0)
target_compile_features(libfathom PUBLIC cxx_std_20)
target_include_directories(libfathom INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
set(library_needs dnnl hwy lzma z zstd utf8proc xxhash linear lbfgs gomp pthread)  # as -l says it
target_link_libraries(libfathom PRIVATE Threads::Threads DNNL::dnnl hwy::hwy LibLZMA::LibLZMA
                                        ZLIB::ZLIB zstd utf8proc xxhash linear lbfgs gomp)
if(BUILD_SHARED_LIBS)
  # Templates of the standard library are visible whatever the compiler is told.
  set(exports ${PROJECT_SOURCE_DIR}/src/api/exports.map)
  target_link_options(libfathom PRIVATE -Wl,--version-script=${exports})
  set_target_properties(libfathom PROPERTIES LINK_DEPENDS ${exports})
endif()

install(TARGETS libfathom EXPORT fathomTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT fathom NAMELINK_COMPONENT dev
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
install(DIRECTORY include/fathom DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)

# find_package(fathom 0.2)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/fathom)
configure_package_config_file(cmake/fathomConfig.cmake.in fathomConfig.cmake
  INSTALL_DESTINATION ${package_folder} NO_SET_AND_CHECK_MACRO)
# Before 1.0 another minor version may be another interface.
write_basic_package_version_file(fathomConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT fathomTargets NAMESPACE fathom:: DESTINATION ${package_folder} COMPONENT dev)
install(FILES ${PROJECT_BINARY_DIR}/fathomConfig.cmake ${PROJECT_BINARY_DIR}/fathomConfigVersion.cmake
        DESTINATION ${package_folder} COMPONENT dev)

# pkg-config fathom. An archive needs its own libraries named at every link, a shared one never.
list(TRANSFORM library_needs PREPEND -l)
list(JOIN library_needs " " library_needs)
set(PKG_LIBS "-lfathom")
if(BUILD_SHARED_LIBS)
  set(PKG_LIBS_PRIVATE "${library_needs}")
else()
  set(PKG_LIBS "-lfathom ${library_needs}")
  set(PKG_LIBS_PRIVATE "")
endif()
file(RELATIVE_PATH PKG_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/fathom.pc.in fathom.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/fathom.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT dev)
