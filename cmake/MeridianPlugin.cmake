# meridian_add_plugin(NAME name SOURCES ... [LIBRARIES ...]): a plug-in, built as <name>.so, that exports its entry function and nothing
# else: hidden visibility, --exclude-libs,ALL (without it a library that the plug-in bundles is silently replaced by
# the host's), and a version script, because templates of the standard library would be exported in spite of both.
function(meridian_add_plugin)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;LIBRARIES" ${ARGN})
  add_library(${ARG_NAME} MODULE ${ARG_SOURCES})
  set(exports ${CMAKE_CURRENT_BINARY_DIR}/${ARG_NAME}.exports)
  file(WRITE ${exports} "{ global: meridian_plugin; local: *; };\n")
  set_target_properties(${ARG_NAME} PROPERTIES
    PREFIX "" OUTPUT_NAME ${ARG_NAME} SUFFIX .so
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LINK_DEPENDS ${exports}
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_LIBRARIES})
  target_link_options(${ARG_NAME} PRIVATE -Wl,--exclude-libs,ALL -Wl,--version-script=${exports})
endfunction()
