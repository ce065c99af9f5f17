# SPDX-License-Identifier: Apache-2.0
# How everything is compiled with WB_SANITIZE. clang, because the fuzz targets need its libFuzzer and link the same
# libraries. The build is a part of the tests: -O0 for C++ takes half the time of -O1, and -g1 is file and line.
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  message(FATAL_ERROR "WB_SANITIZE needs clang: see tests/sanitize.sh")
endif()
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O1 -g1")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O0 -g1")
set(flags -fsanitize=${WB_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
if(NOT WB_SANITIZE STREQUAL "thread")
  list(APPEND flags -fsanitize=fuzzer-no-link) # counts what is covered, for tests/fuzz
endif()
add_compile_options(${flags})
add_compile_definitions(GTEST_HAS_PTHREAD=1) # as its targets have it, and so the precompiled header
add_link_options(-fsanitize=${WB_SANITIZE})

# What nearly every file includes, compiled once: a third of the build. Here and not by target_precompile_headers(), which
# makes one for each target.
set(pch ${CMAKE_BINARY_DIR}/common.pch)
set(compile ${CMAKE_CXX_COMPILER} -std=c++20 -I${CMAKE_SOURCE_DIR} -O0 -g1 -fstack-protector-strong -DGTEST_HAS_PTHREAD=1 ${flags})
set(common ${CMAKE_SOURCE_DIR}/cmake/tests.h)
execute_process(COMMAND ${compile} -include-pch ${pch} -fsyntax-only -x c++ /dev/null RESULT_VARIABLE stale ERROR_QUIET)
if(stale OR ${common} IS_NEWER_THAN ${pch})
  execute_process(COMMAND ${compile} -x c++-header ${common} -o ${pch} COMMAND_ERROR_IS_FATAL ANY)
endif()
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -include-pch -Xclang ${pch}>")
if(WB_SANITIZE STREQUAL "thread")
  # Debian's Abseil is not instrumented: tsan_absl.cc says what its locks do.
  add_library(wb_tsan_absl STATIC ${CMAKE_SOURCE_DIR}/tests/sanitize/tsan_absl.cc)
  set(absl _ZN4absl7debian3)
  foreach(function ${absl}5Mutex4LockEv ${absl}5Mutex6UnlockEv ${absl}5MutexD1Ev ${absl}12Notification6NotifyEv
                   _ZN4absl7debian35Mutex7TryLockEv
                   _ZNK4absl7debian312Notification19WaitForNotificationEv
                   _ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE)
    add_link_options(-Wl,--wrap=${function} -Wl,--undefined=__wrap_${function})
  endforeach()
  target_link_libraries(wb_tsan_absl PUBLIC absl::synchronization)
  link_libraries(wb_tsan_absl)
endif()
