// SPDX-License-Identifier: Apache-2.0
// Tells the service manager how we are: sd_notify(3), as far as it is needed. Does nothing when
// none has asked (NOTIFY_SOCKET is not set).
#ifndef WEBBOOSTER_CTL_OBSERVE_NOTIFY_H_
#define WEBBOOSTER_CTL_OBSERVE_NOTIFY_H_

#include <string_view>

namespace wb::observe {

// `state`: "READY=1", "RELOADING=1" or "STOPPING=1". What cannot be told is logged.
void NotifyManager(std::string_view state);

}  // namespace wb::observe

#endif  // WEBBOOSTER_CTL_OBSERVE_NOTIFY_H_
