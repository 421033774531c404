# What `cmake --install` puts where, besides the programs and plug-ins, which install themselves: the plug-in headers
# with their CMake package and pkg-config file, the manual, and what a service needs.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Where plug-ins are installed; meridiand finds it by its own place, so that the prefix can be moved.
set(MERIDIAN_PLUGIN_INSTALL_DIR ${CMAKE_INSTALL_LIBDIR}/meridian/plugins)
file(RELATIVE_PATH MERIDIAN_PLUGIN_DIR_FROM_PROGRAM
  ${CMAKE_INSTALL_FULL_SBINDIR} ${CMAKE_INSTALL_PREFIX}/${MERIDIAN_PLUGIN_INSTALL_DIR})

# The package's version is that of the plug-in ABI: what a plug-in asks for.
set(plugin_header ${CMAKE_SOURCE_DIR}/core/include/meridian/plugin.h)
foreach(part MAJOR MINOR)
  file(STRINGS ${plugin_header} line REGEX "#define MERIDIAN_ABI_${part} ")
  string(REGEX REPLACE ".* ([0-9]+)u$" "\\1" MERIDIAN_ABI_${part} "${line}")
endforeach()
set(MERIDIAN_ABI_VERSION ${MERIDIAN_ABI_MAJOR}.${MERIDIAN_ABI_MINOR})

add_library(meridian-plugin INTERFACE)
add_library(Meridian::Plugin ALIAS meridian-plugin)
set_target_properties(meridian-plugin PROPERTIES EXPORT_NAME Plugin)
target_include_directories(meridian-plugin INTERFACE
  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/core/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/MeridianPlugin)
install(TARGETS meridian-plugin EXPORT MeridianPlugin)
install(EXPORT MeridianPlugin NAMESPACE Meridian:: DESTINATION ${package_dir} FILE MeridianPluginTargets.cmake)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/MeridianPluginConfig.cmake.in MeridianPluginConfig.cmake
  INSTALL_DESTINATION ${package_dir} PATH_VARS MERIDIAN_PLUGIN_INSTALL_DIR NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(MeridianPluginConfigVersion.cmake
  VERSION ${MERIDIAN_ABI_VERSION} COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/MeridianPluginConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/MeridianPluginConfigVersion.cmake
  ${CMAKE_CURRENT_LIST_DIR}/MeridianPlugin.cmake ${CMAKE_CURRENT_LIST_DIR}/meridian-plugin.exports
  DESTINATION ${package_dir})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/core/include/meridian DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# For builds without CMake. Paths in it are relative to where it lies.
file(RELATIVE_PATH PREFIX_FROM_PKGCONFIG
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${CMAKE_CURRENT_LIST_DIR}/meridian-plugin.pc.in meridian-plugin.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/meridian-plugin.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN *.md)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/examples DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The unit names the configured prefix: a service is installed where it was configured for.
configure_file(${CMAKE_SOURCE_DIR}/packaging/meridiand.service.in meridiand.service @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/meridiand.service DESTINATION lib/systemd/system)
# An operator's file is never overwritten.
install(CODE "
  set(file \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_SYSCONFDIR}/meridian/meridiand.ini\")
  if(NOT EXISTS \"\${file}\")
    file(INSTALL \"${CMAKE_SOURCE_DIR}/packaging/meridiand.ini\"
      DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_SYSCONFDIR}/meridian\")
  endif()")
