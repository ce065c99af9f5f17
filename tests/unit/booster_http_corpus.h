// SPDX-License-Identifier: Apache-2.0
// What attackers and broken clients send on a connection, and what must be understood of it: heads
// without their fields, bodies, and the refusal that ends it.
#ifndef WEBBOOSTER_TESTS_UNIT_BOOSTER_HTTP_CORPUS_H_
#define WEBBOOSTER_TESTS_UNIT_BOOSTER_HTTP_CORPUS_H_

#include <string>
#include <vector>

namespace wb::http {

struct Case {
  const char* name;
  std::string wire;
  std::string understood;
};

inline std::vector<Case> HostileCorpus() {
  using std::string_literals::operator""s;
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
  const std::string get = "GET /in HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  const std::string both = "400 Content-Length and Transfer-Encoding";
  const std::string post_chunked = "POST / 1.1 a chunked";
  std::vector<Case> cases = {
      {"CL.TE", post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", both},
      {"TE.CL",
       post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n8\r\nSMUGGLED\r\n0\r\n\r\n",
       both},
      {"TE.TE", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n5c\r\n",
       "400 several Transfer-Encoding fields"},
      {"TE with a space", post + "Transfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\n",
       "400 white space in or behind a field name"},
      {"TE with a tab", post + "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n" + get,
       post_chunked + " / end / GET /in 1.1 a none / end"},
      {"TE with vertical tab", post + "Transfer-Encoding:\vchunked\r\n\r\n0\r\n\r\n",
       "400 control character"},
      {"TE folded", post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
       "400 white space at the start of a line"},
      {"TE behind a folded line", post + "X: y\r\n\tTransfer-Encoding: chunked\r\n\r\n",
       "400 white space at the start of a line"},
      {"TE by bare LF", post + "X: y\nTransfer-Encoding: chunked\r\n\r\n", "400 LF without CR"},
      {"TE by bare CR", post + "X: y\rTransfer-Encoding: chunked\r\n\r\n", "400 CR without LF"},
      {"TE with NUL", post + "Transfer-Encoding: chunked\0\r\n\r\n"s, "400 control character"},
      {"TE with underscore", post + "Transfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
       "POST / 1.1 a 3 / body abc / end"},
      {"TE named by Connection",
       post + "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       post_chunked + " / end"},
      {"TE of HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "400 Transfer-Encoding in HTTP/1.0"},
      {"TE twice in one", post + "Transfer-Encoding: chunked, chunked\r\n\r\n",
       "501 transfer coding other than chunked"},
      {"two lengths", post + "Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + get,
       "400 several Content-Length fields"},
      {"equal lengths", post + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
       "400 several Content-Length fields"},
      {"length list", post + "Content-Length: 0, 0\r\n\r\n", "400 Content-Length is no number"},
      {"length 2^64", post + "Content-Length: 18446744073709551616\r\n\r\n",
       "400 Content-Length is too large"},
      {"length and a body that is a request",
       post + "Content-Length: " + std::to_string(get.size()) + "\r\n\r\n" + get + get,
       "POST / 1.1 a " + std::to_string(get.size()) + " / body " + get +
           " / end / GET /in 1.1 a none / end"},
      {"GET with a body", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" + get,
       "GET / 1.1 a 4 / body body / end / GET /in 1.1 a none / end"},
      {"early body of GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\nx=1&y=2\r\n",
       "GET / 1.1 a none / end / 400 method is no token"},
      {"early body of Expect", post + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi" + get,
       "POST / 1.1 a 2 continue / body hi / end / GET /in 1.1 a none / end"},
      {"empty line between", get + "\r\n" + get,
       "GET /in 1.1 a none / end / GET /in 1.1 a none / end"},
      {"two empty lines between", get + "\r\n\r\n" + get,
       "GET /in 1.1 a none / end / 400 empty lines before the request"},
      {"size 0x", chunked + "0x5\r\nhello\r\n0\r\n\r\n",
       post_chunked + " / 400 chunk size is no number"},
      {"size +", chunked + "+5\r\nhello\r\n0\r\n\r\n",
       post_chunked + " / 400 chunk size is no number"},
      {"size and space", chunked + "5 \r\nhello\r\n0\r\n\r\n",
       post_chunked + " / 400 control character in a chunk's line"},
      {"size with zeros", chunked + "00000005\r\nhello\r\n0000\r\n\r\n" + get,
       post_chunked + " / body hello / end / GET /in 1.1 a none / end"},
      {"size with too many zeros", chunked + "00000000000000000\r\n\r\n",
       post_chunked + " / 400 chunk size has too many digits"},
      {"size 2^64", chunked + "10000000000000000\r\n",
       post_chunked + " / 400 chunk size has too many digits"},
      {"size 2^64 - 1", chunked + "ffffffffffffffff\r\n",
       post_chunked + " / 400 chunk size is too large"},
      {"size empty", chunked + "\r\n\r\n", post_chunked + " / 400 chunk size is no number"},
      {"size by bare LF", chunked + "5\nhello\r\n",
       post_chunked + " / 400 control character in a chunk's line"},
      {"extension with bare LF", chunked + "5;a\nx\r\nhello\r\n",
       post_chunked + " / 400 control character in a chunk's line"},
      {"extension with bare CR", chunked + "5;a\rx\r\nhello\r\n",
       post_chunked + " / 400 CR without LF in a chunk's line"},
      {"long extension", chunked + "5;" + std::string(300, 'a') + "\r\nhello\r\n",
       post_chunked + " / 400 chunk's line is too long"},
      {"chunk without CRLF", chunked + "5\r\nhello0\r\n\r\n",
       post_chunked + " / body hello / 400 chunk longer than its size"},
      {"chunk behind by LF", chunked + "5\r\nhello\n0\r\n\r\n",
       post_chunked + " / body hello / 400 chunk longer than its size"},
      {"end by LF", chunked + "0\r\n\n" + get, post_chunked + " / 400 LF without CR"},
      {"request as trailers", chunked + "0\r\nGET /in HTTP/1.1\r\nHost: a\r\n\r\n",
       post_chunked + " / 400 white space in or behind a field name"},
      {"trailer that frames", chunked + "0\r\nContent-Length: 50\r\nA: b\r\n\r\n" + get,
       post_chunked + " / trailer A: b / end / GET /in 1.1 a none / end"},
      {"absolute against Host", "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n",
       "GET /x 1.1 b none / end"},
      {"absolute with userinfo", "GET http://a@b/x HTTP/1.1\r\nHost: a\r\n\r\n",
       "400 malformed authority in the request target"},
      {"at in a path", "GET /@b/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /@b/x 1.1 a none / end"},
      {"two slashes", "GET //b/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET //b/x 1.1 a none / end"},
      {"Host twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 several Host fields"},
      {"Host with a space before", "GET / HTTP/1.1\r\n Host: b\r\nHost: a\r\n\r\n",
       "400 white space at the start of a line"},
      {"NUL in a path", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s, "400 control character"},
      {"CONNECT", "CONNECT a:22 HTTP/1.1\r\nHost: a\r\n\r\n", "501 CONNECT"},
      {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 HTTP version other than 1.0 and 1.1"},
      {"HTTP/0.9", "GET /\r\n", "400 request line without target or version"},
      {"SMTP", "EHLO a\r\nMAIL FROM:<b>\r\n", "400 request line without target or version"},
      {"TLS", "\x16\x03\x01\x02\x00\x01"s, "400 control character"},
      {"endless field", "GET / HTTP/1.1\r\nHost: a\r\nA: " + std::string(9000, 'b'),
       "431 a line is too long"},
  };
  std::string fields = "GET / HTTP/1.1\r\nHost: a\r\n", head = fields, options = fields;
  for (int i = 0; i < 101; ++i) fields += "A: b\r\n";
  for (int i = 0; i < 5; ++i) head += "A: " + std::string(8000, 'b') + "\r\n";
  options += "Connection: ";
  for (int i = 0; i < 40; ++i) options += "a,";
  cases.push_back({"many fields", fields + "\r\n", "431 too many fields"});
  cases.push_back({"huge head", head + "\r\n", "431 the head is too long"});
  cases.push_back({"many options", options + "\r\n\r\n", "431 too many Connection options"});
  std::string flood = chunked, bytes;
  for (int i = 0; i < 200; ++i) flood += "1;" + std::string(200, 'x') + "\r\ny\r\n";
  for (int i = 0; i < (16 << 10) / 201; ++i) bytes += "y";
  cases.push_back({"extension flood", flood,
                   post_chunked + " / body " + bytes + " / 400 too many chunk extensions"});
  std::string trailers = chunked + "0\r\n";
  for (int i = 0; i < 40; ++i) trailers += "A: b\r\n";
  cases.push_back({"trailer flood", trailers, post_chunked + " / 431 too many trailers"});
  return cases;
}

}  // namespace wb::http

#endif  // WEBBOOSTER_TESTS_UNIT_BOOSTER_HTTP_CORPUS_H_
