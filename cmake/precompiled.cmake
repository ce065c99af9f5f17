# SPDX-License-Identifier: Apache-2.0
# What nearly every file includes, compiled once for each way of compiling. Not by target_precompile_headers(),
# which makes one for each target. GCC takes cmake/NAME.h.gch of the first -I before cmake/NAME.h of the next; whoever cannot
# read it (clang-tidy) or need not know of it (ccache) finds the header.
# -DWB_PRECOMPILED=OFF compiles without, as .ci/run's clang-tidy reads the sources: each includes what it needs.
option(WB_PRECOMPILED "Precompiled headers" ON)
if(WB_SANITIZE OR NOT WB_PRECOMPILED OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  return()
endif()

# wb_precompile(NAME OPTIONS...): cmake/NAME.h as the target wb_precompiled_NAME.
function(wb_precompile name)
  set(made ${CMAKE_BINARY_DIR}/precompiled/cmake/${name}.h.gch)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
  separate_arguments(flags NATIVE_COMMAND "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${type}}")
  get_directory_property(options COMPILE_OPTIONS)
  add_custom_command(
    OUTPUT ${made}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/precompiled/cmake
    COMMAND ${CMAKE_CXX_COMPILER} -std=c++${CMAKE_CXX_STANDARD} -I${CMAKE_SOURCE_DIR} ${flags} ${options} ${ARGN} -MD -MF ${made}.d
            -MT ${made} -x c++-header ${CMAKE_SOURCE_DIR}/cmake/${name}.h -o ${made}
    DEPENDS ${CMAKE_SOURCE_DIR}/cmake/${name}.h
    DEPFILE ${made}.d
    VERBATIM)
  add_custom_target(wb_precompiled_${name}_header DEPENDS ${made})
  add_library(wb_precompiled_${name} INTERFACE)
  # One that does not fit is an error: it would only be slower. And GCC 12 no longer knows then that what it warns of is
  # std::string's own code (GCC bug 105329).
  set(options -Winvalid-pch -Wno-stringop-overflow "SHELL:-include cmake/${name}.h")
  target_compile_options(wb_precompiled_${name} INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${options}>")
  add_dependencies(wb_precompiled_${name} wb_precompiled_${name}_header)
endfunction()

# wb_use_precompiled(DIRECTORY): all of its targets do, and those below it.
function(wb_use_precompiled directory)
  get_property(targets DIRECTORY ${directory} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target ${targets})
    get_target_property(type ${target} TYPE)
    if(type MATCHES "STATIC_LIBRARY|EXECUTABLE")
      get_target_property(options ${target} COMPILE_OPTIONS)
      if("-O0" IN_LIST options)
        target_link_libraries(${target} PRIVATE wb_precompiled_tests)
      else()
        target_link_libraries(${target} PRIVATE wb_precompiled_common)
      endif()
    endif()
  endforeach()
  get_property(below DIRECTORY ${directory} PROPERTY SUBDIRECTORIES)
  foreach(subdirectory ${below})
    wb_use_precompiled(${subdirectory})
  endforeach()
endfunction()

include_directories(BEFORE ${CMAKE_BINARY_DIR}/precompiled)
wb_precompile(common)
wb_precompile(tests -O0 -DGTEST_HAS_PTHREAD=1)
