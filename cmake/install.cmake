# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts in place beside libfathom, and the packages of `cpack`.
install(TARGETS fathom RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT fathom)

# The program prints its own manual page and completions.
if(NOT CMAKE_CROSSCOMPILING)
  set(printed ${PROJECT_BINARY_DIR}/printed)
  set(pages)
  function(printed_by_program file)
    add_custom_command(OUTPUT ${printed}/${file}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${printed}
      COMMAND fathom ${ARGN} > ${printed}/${file}
      DEPENDS fathom VERBATIM)
    set(pages ${pages} ${printed}/${file} PARENT_SCOPE)
  endfunction()
  printed_by_program(fathom.1 manual)
  printed_by_program(fathom completion bash)
  printed_by_program(_fathom completion zsh)
  printed_by_program(fathom.fish completion fish)
  add_custom_target(manual_and_completions ALL DEPENDS ${pages})
  install(FILES ${printed}/fathom.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT fathom)
  install(FILES ${printed}/fathom
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT fathom)
  install(FILES ${printed}/_fathom
          DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions COMPONENT fathom)
  install(FILES ${printed}/fathom.fish
          DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT fathom)
endif()

install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT fathom)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright COMPONENT fathom)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/fathom-dev RENAME copyright
        COMPONENT dev)
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/fathom-dev COMPONENT dev)

# Two packages of Debian, `cpack -G DEB`: fathom has the program and the shared library, fathom-dev
# what programs are compiled with.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME fathom)
set(CPACK_PACKAGE_VENDOR fathom)
set(CPACK_PACKAGE_CONTACT "The Fathom authors <fathom@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/compress_manual.cmake)
set(CPACK_COMPONENTS_ALL fathom dev)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_FATHOM_PACKAGE_NAME fathom)
set(CPACK_DEBIAN_FATHOM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_FATHOM_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_FATHOM_PACKAGE_SUGGESTS libjs-chart.js)
set(CPACK_COMPONENT_FATHOM_DESCRIPTION
    "Reads RWKV models, turns text into embeddings at any depth, and measures what each depth gives
 and costs. The program fathom, and the library that other programs use.")
set(CPACK_DEBIAN_DEV_PACKAGE_NAME fathom-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_DEV_DESCRIPTION
    "Headers, CMake and pkg-config files of the library fathom, and examples.")
if(BUILD_SHARED_LIBS)
  set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "fathom (= ${PROJECT_VERSION})")
else()  # an archive is linked with what it needs
  set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
      "libdnnl-dev, libhwy-dev, liblzma-dev, zlib1g-dev, libzstd-dev, libutf8proc-dev, libxxhash-dev, liblinear-dev, liblbfgs-dev")
endif()
include(CPack)
