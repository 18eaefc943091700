/* Receivers over ZeroMQ (libzmq): PULL takes batches and says nothing, ROUTER answers each one. docs/formats/agent-protocol.md
 * describes both. What the configuration sets; the receivers themselves are in receiver.h.
 *
 * An endpoint is `tcp://host:port` or `ipc://path`, which is bound, or the same after `connect:`. It can be bound once, so there is one
 * instance, on the first worker: it receives and decodes, what belongs to other workers' shards goes to them as ever. */
#ifndef SM_ZEROMQ_H
#define SM_ZEROMQ_H

#include "base/base.h"

struct sm_zeromq_options {
    uint64_t message_bytes_max;  /* of a frame; the peer of a longer one is disconnected by libzmq */
    uint32_t queue_messages_max; /* per connection */
    int64_t handshake_ns;
    char *secret_key; /* path of the server's key; NULL: no encryption */
    char *clients;    /* path of the clients' public keys, file or directory; NULL: every client that knows the server's key */
};

/* True for what sm_receiver_zeromq_* take as an address. */
bool sm_zeromq_is_endpoint(struct sm_str text);

#endif
