/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The booster link's key field: how a booster names a cached object so that XDP neither scans nor hashes.
 *
 * A compact request is
 *     GET <target> HTTP/1.1 CRLF
 *     Host: <host> CRLF
 *     Accept-Encoding: <value> CRLF          only if the client sent it: for the web server, if XDP passes the request
 *     WB-Key: <LLLL><KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK> CRLF CRLF
 * LLLL: length of the whole request in bytes, four lower-case hexadecimal digits, so that several requests in one
 * segment are found from its end backwards without scanning. K: the object's key, 32 lower-case hexadecimal digits.
 * The key is the first 16 bytes of HMAC-SHA-256(link secret, host 0x00 target 0x00 accept-encoding). It is honoured
 * only from the booster addresses of the configuration, and any web server may ignore it. */
#ifndef WEBBOOSTER_ABI_KEY_FIELD_H_
#define WEBBOOSTER_ABI_KEY_FIELD_H_

#define WB_KEY_FIELD_NAME "WB-Key"
#define WB_KEY_PREFIX "WB-Key: " /* 8 bytes */
#define WB_KEY_PREFIX_BYTES 8
#define WB_KEY_LENGTH_DIGITS 4
#define WB_KEY_HEX 32
/* From the 'W' of the field name to the end of the request. */
#define WB_KEY_TAIL_BYTES 48
/* "GET / HTTP/1.1\r\nHost: x\r\n" and the tail. */
#define WB_KEY_REQUEST_MIN 73
#define WB_KEY_REQUEST_MAX 1024

#endif
