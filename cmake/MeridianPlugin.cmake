# meridian_add_plugin(NAME name SOURCES ... [LIBRARIES ...]): a plug-in, built as <name>.so, that sees the plug-in headers
# (Meridian::Plugin) and exports its entry function and nothing else: hidden visibility, --exclude-libs,ALL (without it a
# library that the plug-in bundles is silently replaced by the host's), and a version script, because templates of the
# standard library would be exported in spite of both. What is undefined is an error here, not when the node starts; not
# so in a sanitizer build, where the program brings the sanitizer's functions.
#
# Meridian's own build and the installed package use this same file.
function(meridian_add_plugin)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;LIBRARIES" ${ARGN})
  if(NOT ARG_NAME OR NOT ARG_SOURCES OR ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "meridian_add_plugin: expected NAME name SOURCES file... [LIBRARIES library...]")
  endif()
  set(exports ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/meridian-plugin.exports)
  add_library(${ARG_NAME} MODULE ${ARG_SOURCES})
  set_target_properties(${ARG_NAME} PROPERTIES
    PREFIX "" OUTPUT_NAME ${ARG_NAME} SUFFIX .so
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON
    LINK_DEPENDS ${exports})
  target_link_libraries(${ARG_NAME} PRIVATE Meridian::Plugin ${ARG_LIBRARIES})
  target_link_options(${ARG_NAME} PRIVATE -Wl,--exclude-libs,ALL -Wl,--version-script=${exports})
  if(NOT MERIDIAN_SANITIZE AND NOT "${CMAKE_C_FLAGS} ${CMAKE_CXX_FLAGS}" MATCHES "-fsanitize")
    target_link_options(${ARG_NAME} PRIVATE -Wl,-z,defs)
  endif()
endfunction()
