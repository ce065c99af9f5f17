// SPDX-License-Identifier: Apache-2.0
// A fingerprint of all that a target's file depends on: the file, its precompressed siblings (those
// that are not there, too), the links on the way, and owner, mode and access list of the
// directories. Two equal ones, the first made while the files were watched and nothing happened to
// them, prove that nothing has happened since, however long nobody watched: any change of a file
// moves its ctime, which nobody can set. What inotify cannot tell (docroot.h), this cannot either.
// Thread-safe; does file I/O.
#ifndef CTL_CACHE_PROOF_H_
#define CTL_CACHE_PROOF_H_

#include <array>
#include <cstdint>
#include <optional>

#include "ctl/cache/docroot.h"

namespace wb::cache {

using Proof = std::array<uint64_t, 2>;  // never all zero

// File systems count time in steps, the coarsest in steps of two seconds: a change within the step
// of the one before would not show.
inline constexpr int64_t kProofAgeS = 3;

// nullopt: a file was changed less than kProofAgeS before `now_s` (seconds since 1970), or after
// it, so that nothing would be proved.
[[nodiscard]] std::optional<Proof> Prove(const Location& location, int64_t now_s);

}  // namespace wb::cache

#endif  // CTL_CACHE_PROOF_H_
