// SPDX-License-Identifier: Apache-2.0
// Directories of pins: the layout's version in the name, no way in for others (PITFALLS 48), and
// libbpf's words in our log.
#ifndef WEBBOOSTER_CTL_KERN_PINS_H_
#define WEBBOOSTER_CTL_KERN_PINS_H_

#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

struct bpf_object;

namespace wb::kern {

// Makes `dir` and, below it, the directory of the layout version (mode 0700), whose name is
// returned. FailedPrecondition when another version is pinned there; `remedy` says which program
// detaches it.
absl::StatusOr<std::string> MakePinDir(const std::string& dir, const std::string& version,
                                       const std::string& remedy);

// The maps that `whose` says by their names are to be pinned in `dir` when the object is loaded, or
// adopted from there.
absl::Status SetPins(bpf_object* object, const std::string& dir,
                     absl::FunctionRef<bool(std::string_view)> whose);

// Mode 0600 for all pins of the loaded object's maps.
absl::Status ProtectPins(bpf_object* object);

// Removes what MakePinDir returned, with all in it, and the directory above if nothing else is
// there.
absl::Status RemovePins(const std::string& pin_dir);

// Warnings of libbpf go to the log from now on, whatever object they are about.
void LogLibbpf();

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_PINS_H_
