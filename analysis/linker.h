/* Finds out who called whom in one trace: the links of the dependency graph and the calls of the service graph, in one
 * walk.
 *
 * Links follow the rules of Zipkin's DependencyLinker to the letter (tree.h tells where spans of other formats hang): halves
 * and pieces of one span id are merged, a server half belongs to its client half, spans without their parent hang on the root,
 * a client with children leaves the word to its server, errors of a client count for its server. What that implementation loses,
 * this one does not count either: spans in a circle of parents, and all but the last of several unshared spans with one id and
 * different endpoints (`unreachable` tells how many).
 *
 * Calls follow the edges of Tempo's service graph (client, server, connection type), but are decided on the whole
 * trace: server span below a client span                  "" ("messaging_system" for producer and consumer) server span
 * below another server span            "", without a client's latency, when the services differ client span of a
 * database that nothing answered  "database" client span that nothing answered, peer named    "virtual_node"; producer:
 * "messaging_system" to its broker server span that is the root                     "virtual_node" from its named peer,
 * else from "user" consumer span without producer, broker named     "messaging_system" from its broker Everything else
 * stays unpaired and is counted by kind.
 *
 * The name of the other side, where no span of its own tells it:
 *   spans that came as Zipkin     remoteEndpoint.serviceName, nothing else
 *   any kind                      service.peer.name, peer.service
 *   client of a database          then server.address, network.peer.address[:network.peer.port], db.namespace, db.name,
 *                                 db.system.name, db.system
 *   producer, consumer, and client with messaging.*
 *                                 then messaging.system/messaging.destination.name
 *   client, producer              then, if configured, server.address, net.peer.name
 * Names longer than 255 bytes (SM_PEER_NAME_MAX) and those over the limit of nodes read "(overflow)".
 *
 * Spans that come after the decision about their trace (trace->late) are linked to the view's context; without one among
 * themselves only: nothing is said about sides whose spans are not there.
 *
 * One linker belongs to one shard; it allocates only when a trace is larger than all before it. Costs O(spans) for
 * traces whose spans have ids of their own, O(spans log spans) for others. */
#ifndef SM_LINKER_H
#define SM_LINKER_H

#include "base/base.h"
#include "span/graph.h"
#include "span/names.h"
#include "span/view.h"

/* A duration that is not known. */
#define SM_LINKER_NO_TIME UINT64_MAX

struct sm_link {
    uint32_t parent, child; /* ids in the linker's table of nodes */
    uint8_t types;          /* enum sm_edge_type */
    bool error;
    uint64_t latency_ns; /* of the server side, else of the client's; SM_LINKER_NO_TIME */
    uint64_t start_ns;   /* of the callee, else of the caller; 0: neither has one */
};

enum sm_connection { SM_CONNECTION_RPC, SM_CONNECTION_MESSAGING, SM_CONNECTION_DATABASE, SM_CONNECTION_VIRTUAL };

/* The value of the label connection_type. */
const char *sm_connection_name(enum sm_connection c);

struct sm_call {
    uint32_t client, server;       /* ids in the linker's table of nodes */
    uint8_t connection;            /* enum sm_connection */
    bool failed;                   /* on either side */
    uint64_t client_ns, server_ns; /* durations, SM_LINKER_NO_TIME */
};

/* What one walk found; valid until the next one. */
struct sm_linked {
    struct sm_link *links;
    uint32_t link_count;
    struct sm_call *calls;
    uint32_t call_count;
    uint32_t unreachable;                    /* spans that no tree holds */
    uint32_t unpaired[SM_KIND_CONSUMER + 1]; /* spans without another side, by enum sm_kind */
};

struct sm_linker_config {
    bool peer_addresses; /* name the peers of clients by server.address, net.peer.name */
    bool nested_servers; /* see tree.h; false is Zipkin's way */
};

struct sm_linker;

/* `services` has the texts of resources' service ids; node names are interned in `nodes`, a table of its own, so that
 * clients cannot fill the table of span names with peers. */
struct sm_linker *sm_linker_new(const struct sm_linker_config *config, const struct sm_names *services,
                                struct sm_names *nodes);
void sm_linker_free(struct sm_linker *l);

const struct sm_linked *sm_linker_walk(struct sm_linker *l, const struct sm_view *view);

#endif
