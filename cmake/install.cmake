# Header, libraries, command, manual pages, CMake package and pkg-config file.
include(CMakePackageConfigHelpers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/fewbit DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
# The static library is a set of its own: who links the shared one needs no development files of what is behind it.
install(TARGETS fewbit EXPORT fewbit_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS fewbit_static EXPORT fewbit_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT fewbit_shared FILE fewbitShared.cmake NAMESPACE fewbit:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/fewbit)
install(EXPORT fewbit_static FILE fewbitStatic.cmake NAMESPACE fewbit:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/fewbit)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/fewbitConfig.cmake.in ${PROJECT_BINARY_DIR}/fewbitConfig.cmake
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/fewbit)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/fewbitConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/fewbitConfig.cmake ${PROJECT_BINARY_DIR}/fewbitConfigVersion.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/fewbit)
file(RELATIVE_PATH FEWBIT_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix) # the tree may be moved
configure_file(${PROJECT_SOURCE_DIR}/cmake/fewbit.pc.in ${PROJECT_BINARY_DIR}/fewbit.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/fewbit.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(FEWBIT_BUILD_COMMAND)
    install(TARGETS fewbit_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    # Manual pages and completion come from the command itself, so that they cannot differ from --help.
    set(pages)
    foreach(command "" inspect quantize calibrate evaluate bench generate tokenize list cpu help)
        string(REGEX REPLACE "-$" "" page "fewbit-${command}")
        set(file ${PROJECT_BINARY_DIR}/man/${page}.1)
        add_custom_command(OUTPUT ${file}
            COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/man
            COMMAND $<TARGET_FILE:fewbit_command> help --man ${command} > ${file}
            DEPENDS fewbit_command)
        list(APPEND pages ${file})
    endforeach()
    set(completion ${PROJECT_BINARY_DIR}/completion/fewbit)
    add_custom_command(OUTPUT ${completion}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/completion
        COMMAND $<TARGET_FILE:fewbit_command> help --completion bash > ${completion}
        DEPENDS fewbit_command)
    add_custom_target(fewbit_manual ALL DEPENDS ${pages} ${completion})
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES ${completion} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
endif()
