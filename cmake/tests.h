// SPDX-License-Identifier: Apache-2.0
// What nearly every test includes, precompiled (precompiled.cmake), and all files of the sanitized
// builds (tests/sanitize/flags.cmake). Nothing includes it by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmake/common.h"
