/* Unary gRPC over the HTTP server: framing, status trailers, the names of statuses. Follows the gRPC over HTTP/2
 * protocol description (PROTOCOL-HTTP2.md).
 *
 * The server removes the 5-byte prefix of the request's only message and checks it; the handler sees the bare message
 * as the exchange's body, with grpc_compressed telling whether it still has to be inflated. Errors are sent
 * trailers-only. */
#ifndef SM_NET_GRPC_H
#define SM_NET_GRPC_H

#include "base/net/http.h"

enum sm_grpc_status {
    SM_GRPC_OK = 0,
    SM_GRPC_CANCELLED = 1,
    SM_GRPC_UNKNOWN = 2,
    SM_GRPC_INVALID_ARGUMENT = 3,
    SM_GRPC_DEADLINE_EXCEEDED = 4,
    SM_GRPC_NOT_FOUND = 5,
    SM_GRPC_PERMISSION_DENIED = 7,
    SM_GRPC_RESOURCE_EXHAUSTED = 8,
    SM_GRPC_OUT_OF_RANGE = 11,
    SM_GRPC_UNIMPLEMENTED = 12,
    SM_GRPC_INTERNAL = 13,
    SM_GRPC_UNAVAILABLE = 14,
    SM_GRPC_UNAUTHENTICATED = 16,
};

enum { SM_GRPC_PREFIX_BYTES = 5 };

/* Replies now, on the server's thread; everything is copied. With SM_GRPC_OK `message` is the response message (may be
 * empty); otherwise it is not sent. `text` explains an error to people, `details` is an encoded google.rpc.Status; both
 * may be empty. */
void sm_grpc_reply(struct sm_http_exchange *x, enum sm_grpc_status status, struct sm_str text, struct sm_str details,
                   struct sm_str message);

/* The deadline the client gave in grpc-timeout, as a duration; INT64_MAX when there is none, it is malformed or
 * longer than that. */
int64_t sm_grpc_timeout_ns(const struct sm_http_exchange *x);

/* Puts a message's prefix in front of `len` bytes. */
void sm_grpc_prefix(uint8_t prefix[SM_GRPC_PREFIX_BYTES], bool compressed, uint32_t len);

/* Percent-encodes text for grpc-message: at most 3 * text.len bytes into out; returns the length. */
size_t sm_grpc_percent_encode(struct sm_str text, char *out);

/* Unpadded base64, as binary metadata is sent: at most (bytes.len * 4 + 2) / 3 bytes into out; returns the length. */
size_t sm_grpc_base64_encode(struct sm_str bytes, char *out);

#endif
