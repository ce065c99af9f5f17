// SPDX-License-Identifier: Apache-2.0
// Ends a TCP connection of this network namespace: its socket is destroyed (SOCK_DESTROY of
// sock_diag(7)), and the kernel sends the reset, which TC egress still translates.
#ifndef WEBBOOSTER_CTL_KERN_SOCK_DESTROY_H_
#define WEBBOOSTER_CTL_KERN_SOCK_DESTROY_H_

#include "absl/status/status.h"
#include "webbooster/abi/conn.h"

namespace wb::kern {

// `ifindex`: of the interface that the connection uses; `cookie`: of its socket (SO_COOKIE, and
// wb_conn_state.id). OK also when there is no such socket any more. Unavailable: this kernel cannot
// tell (tcp_diag); other errors: it cannot destroy (INET_DIAG_DESTROY).
absl::Status DestroySocket(const wb_conn_key& key, uint32_t ifindex, uint64_t cookie);

// Has the kernel no such socket, not even one in TIME_WAIT? Doubt is no.
bool SocketIsGone(const wb_conn_key& key, uint32_t ifindex, uint64_t cookie);

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_SOCK_DESTROY_H_
