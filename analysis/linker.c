/* The rules that turn a tree of spans into links and calls. */
#include "analysis/linker.h"

#include "analysis/peer.h"
#include "analysis/tree.h"

#include <stdlib.h>

_Static_assert(SM_LINKER_NO_TIME == SM_TREE_NO_TIME, "durations are passed on as they are");

enum { SERVICE_UNSEEN = UINT32_MAX };

struct sm_linker {
    struct sm_linker_config config;
    struct sm_names_cache *cache; /* of the table of nodes */
    uint32_t user;                /* node "user" */
    uint32_t *node_of_service;    /* by service id; SERVICE_UNSEEN */
    uint32_t service_capacity;
    const struct sm_names *services;
    struct sm_tree tree;
    bool late;
    struct sm_linked out;
    uint32_t capacity; /* spans that `out` has room for */
};

/* The other side of a node as its attributes name it; read when it is first asked for. */
struct remote {
    bool known;
    uint32_t node; /* SM_NAME_EMPTY: not named */
    uint8_t type;  /* enum sm_edge_type */
};

const char *sm_connection_name(enum sm_connection c)
{
    static const char *const names[] = {"", "messaging_system", "database", "virtual_node"};
    return names[c];
}

struct sm_linker *sm_linker_new(const struct sm_linker_config *config, const struct sm_names *services,
                                struct sm_names *nodes)
{
    struct sm_linker *l = sm_xcalloc(1, sizeof *l);
    l->config = *config;
    l->services = services;
    l->cache = sm_names_cache_new(nodes);
    l->user = sm_names_cache_id(l->cache, SM_STR("user"));
    sm_tree_init(&l->tree, services);
    l->tree.nested_servers = config->nested_servers;
    return l;
}

void sm_linker_free(struct sm_linker *l)
{
    if (!l)
        return;
    sm_names_cache_free(l->cache);
    sm_tree_fini(&l->tree);
    free(l->node_of_service);
    free(l->out.links);
    free(l->out.calls);
    free(l);
}

/* A node makes at most two links and one call. */
static void reserve(struct sm_linker *l, uint32_t count)
{
    if (count <= l->capacity)
        return;
    l->capacity = SM_MAX(count, l->capacity * 2);
    l->out.links = sm_xrealloc(l->out.links, 2 * (size_t)l->capacity * sizeof *l->out.links);
    l->out.calls = sm_xrealloc(l->out.calls, l->capacity * sizeof *l->out.calls);
}

static SM_COLD uint32_t learn_service(struct sm_linker *l, uint32_t service)
{
    if (service >= l->service_capacity) {
        uint32_t capacity = SM_MAX(service + 1, l->service_capacity * 2);
        l->node_of_service = sm_xrealloc(l->node_of_service, capacity * sizeof *l->node_of_service);
        for (uint32_t i = l->service_capacity; i < capacity; i++)
            l->node_of_service[i] = SERVICE_UNSEEN;
        l->service_capacity = capacity;
    }
    return l->node_of_service[service] = sm_names_cache_id(l->cache, sm_names_get(l->services, service));
}

/* The graph node of a service. */
static uint32_t service_node(struct sm_linker *l, uint32_t service)
{
    if (service <= SM_NAME_EMPTY) /* unknown and over the limit read the same in both tables */
        return service;
    if (service < l->service_capacity && l->node_of_service[service] != SERVICE_UNSEEN)
        return l->node_of_service[service];
    return learn_service(l, service);
}

static uint32_t local_of(struct sm_linker *l, const struct sm_tree_node *node)
{
    return service_node(l, node->service);
}

/* Reads the remote side; of a node's records the first one that names it counts. */
static uint32_t remote_of(struct sm_linker *l, const struct sm_tree_node *node, struct remote *remote)
{
    if (remote->known)
        return remote->node;
    remote->known = true;
    remote->node = SM_NAME_EMPTY;
    for (uint32_t i = 0; i < node->part_count && remote->node == SM_NAME_EMPTY && !l->late; i++) {
        const struct sm_view_span *record = sm_tree_record(&l->tree, node, i);
        if (!record->span->n_wanted && !(record->span->flags & SM_SPAN_PRIVATE))
            continue;
        struct sm_peer peer;
        sm_peer_read(record, (enum sm_kind)node->kind, l->config.peer_addresses, &peer);
        remote->type = peer.type;
        if (peer.too_long)
            remote->node = SM_NAME_OVERFLOW;
        else if (peer.name.len)
            remote->node = sm_names_cache_id(l->cache, peer.name);
    }
    return remote->node;
}

/* ---- Links ---- */

static void add_link(struct sm_linker *l, const struct sm_link *link)
{
    l->out.links[l->out.link_count++] = *link;
}

/* The nearest node above with a kind; orphans stand below the root. */
static const struct sm_tree_node *link_ancestor(const struct sm_linker *l, const struct sm_tree_node *node)
{
    const struct sm_tree *t = &l->tree;
    if (node->ancestor != SM_TREE_NONE)
        return &t->nodes[node->ancestor];
    if (t->root == SM_TREE_NONE || l->late)
        return NULL;
    const struct sm_tree_node *root = &t->nodes[t->root];
    return node == root || root->kind == SM_KIND_UNSPECIFIED ? NULL : root;
}

/* Zipkin's condition for a node to inherit its client's error. */
static bool child_of_client(const struct sm_tree_node *node, const struct sm_tree_node *ancestor)
{
    return ancestor && ancestor->kind == SM_KIND_CLIENT && node->parent_id && node->parent_id == ancestor->id;
}

/* The client's side of the call that a server node answers, if the trace has it. */
static const struct sm_tree_node *client_side(const struct sm_tree_node *node, const struct sm_tree_node *ancestor)
{
    bool half = ancestor && ancestor->kind == SM_KIND_CLIENT && node->id == ancestor->id;
    return half || child_of_client(node, ancestor) ? ancestor : NULL;
}

static uint64_t known_time(uint64_t own, const struct sm_tree_node *client)
{
    return own != SM_TREE_NO_TIME || !client ? own : client->duration_ns;
}

static void link_broker(struct sm_linker *l, const struct sm_tree_node *node, struct remote *remote)
{
    uint32_t local = local_of(l, node), broker = remote_of(l, node, remote);
    if (local == SM_NAME_EMPTY || broker == SM_NAME_EMPTY)
        return;
    bool sends = node->kind == SM_KIND_PRODUCER;
    add_link(l, &(struct sm_link){.parent = sends ? local : broker,
                                  .child = sends ? broker : local,
                                  .types = SM_EDGE_MESSAGING,
                                  .error = node->flags & SM_NODE_ERROR,
                                  .latency_ns = node->duration_ns,
                                  .start_ns = node->start_ns});
}

static void link_server(struct sm_linker *l, const struct sm_tree_node *node, struct remote *remote)
{
    const struct sm_tree_node *ancestor = link_ancestor(l, node), *client = client_side(node, ancestor);
    uint32_t child = local_of(l, node), parent = ancestor ? local_of(l, ancestor) : SM_NAME_EMPTY;
    bool answered = parent != SM_NAME_EMPTY;
    if (!answered)
        parent = remote_of(l, node, remote);
    if (parent == SM_NAME_EMPTY || child == SM_NAME_EMPTY)
        return;
    bool inherits = answered && child_of_client(node, ancestor);
    add_link(l, &(struct sm_link){.parent = parent,
                                  .child = child,
                                  .types = answered ? SM_EDGE_RPC : SM_EDGE_PEER,
                                  .error = (node->flags | (inherits ? ancestor->flags : 0)) & SM_NODE_ERROR,
                                  .latency_ns = known_time(node->duration_ns, client),
                                  .start_ns = node->start_ns || !client ? node->start_ns : client->start_ns});
}

/* A client whose server sent nothing, or a span of no kind that names both sides. */
static void link_client(struct sm_linker *l, const struct sm_tree_node *node, struct remote *remote)
{
    const struct sm_tree_node *ancestor = link_ancestor(l, node);
    uint32_t parent = local_of(l, node), child = remote_of(l, node, remote);
    uint32_t above = ancestor ? local_of(l, ancestor) : SM_NAME_EMPTY;
    bool error = node->flags & SM_NODE_ERROR;
    if (node->kind == SM_KIND_UNSPECIFIED && (parent == SM_NAME_EMPTY || child == SM_NAME_EMPTY))
        return;
    if (above != SM_NAME_EMPTY) {
        if (parent != SM_NAME_EMPTY && above != parent) /* the service between sent no server span */
            add_link(l, &(struct sm_link){.parent = above,
                                          .child = parent,
                                          .types = SM_EDGE_RPC,
                                          .latency_ns = SM_LINKER_NO_TIME,
                                          .start_ns = node->start_ns});
        if (parent == SM_NAME_EMPTY)
            parent = above;
        if (child_of_client(node, ancestor))
            error = error || (ancestor->flags & SM_NODE_ERROR);
    }
    if (parent == SM_NAME_EMPTY || child == SM_NAME_EMPTY)
        return;
    add_link(l, &(struct sm_link){.parent = parent,
                                  .child = child,
                                  .types = remote->type,
                                  .error = error,
                                  .latency_ns = node->duration_ns,
                                  .start_ns = node->start_ns});
}

static void link_node(struct sm_linker *l, const struct sm_tree_node *node, struct remote *remote)
{
    switch (node->kind) {
    case SM_KIND_CLIENT:
        if (!(node->flags & SM_NODE_HAS_CHILD)) /* else the server speaks for the call */
            link_client(l, node, remote);
        break;
    case SM_KIND_SERVER:
        link_server(l, node, remote);
        break;
    case SM_KIND_PRODUCER:
    case SM_KIND_CONSUMER:
        link_broker(l, node, remote);
        break;
    default:
        link_client(l, node, remote);
        break;
    }
}

/* ---- Calls ---- */

static void add_call(struct sm_linker *l, uint32_t client, uint32_t server, enum sm_connection connection, bool failed,
                     uint64_t client_ns, uint64_t server_ns)
{
    l->out.calls[l->out.call_count++] =
        (struct sm_call){client, server, (uint8_t)connection, failed, client_ns, server_ns};
}

static void count_unpaired(struct sm_linker *l, const struct sm_tree_node *node)
{
    if (!l->late)
        l->out.unpaired[node->kind]++;
}

/* A server or consumer span below another span with a kind; false when that does not tell who called. */
static bool call_from_ancestor(struct sm_linker *l, const struct sm_tree_node *node, uint32_t local)
{
    if (node->ancestor == SM_TREE_NONE)
        return false;
    const struct sm_tree_node *above = &l->tree.nodes[node->ancestor];
    uint32_t caller = local_of(l, above);
    if (caller == SM_NAME_EMPTY)
        return false;
    bool failed = node->flags & SM_NODE_FAILED;
    if (above->kind == SM_KIND_CLIENT || above->kind == SM_KIND_PRODUCER) {
        bool message = node->kind == SM_KIND_CONSUMER || above->kind == SM_KIND_PRODUCER;
        add_call(l, caller, local, message ? SM_CONNECTION_MESSAGING : SM_CONNECTION_RPC,
                 failed || (above->flags & SM_NODE_FAILED), above->duration_ns, node->duration_ns);
        return true;
    }
    if (node->kind == SM_KIND_CONSUMER)
        return false;
    if (caller != local) /* else two instrumentations of one server */
        add_call(l, caller, local, SM_CONNECTION_RPC, failed, SM_LINKER_NO_TIME, node->duration_ns);
    return true;
}

static void call_to(struct sm_linker *l, const struct sm_tree_node *node, struct remote *remote)
{
    uint32_t local = local_of(l, node);
    if (local == SM_NAME_EMPTY || call_from_ancestor(l, node, local))
        return;
    bool root = !node->parent_id && !(node->flags & SM_NODE_SHARED) && !l->late;
    uint32_t caller = remote_of(l, node, remote);
    enum sm_connection connection = SM_CONNECTION_MESSAGING;
    if (node->kind == SM_KIND_SERVER) {
        connection = SM_CONNECTION_VIRTUAL;
        if (caller == SM_NAME_EMPTY && root)
            caller = l->user;
    }
    if (caller == SM_NAME_EMPTY)
        count_unpaired(l, node);
    else
        add_call(l, caller, local, connection, node->flags & SM_NODE_FAILED, SM_LINKER_NO_TIME, node->duration_ns);
}

/* What a client measured stands for its server too: there is no better knowledge of it. */
static void call_from(struct sm_linker *l, const struct sm_tree_node *node, struct remote *remote)
{
    uint32_t local = local_of(l, node);
    if (local == SM_NAME_EMPTY || (node->flags & SM_NODE_ANSWERED))
        return;
    uint32_t peer = remote_of(l, node, remote);
    if (peer == SM_NAME_EMPTY) {
        count_unpaired(l, node);
        return;
    }
    enum sm_connection connection = remote->type == SM_EDGE_DATABASE    ? SM_CONNECTION_DATABASE
                                    : remote->type == SM_EDGE_MESSAGING ? SM_CONNECTION_MESSAGING
                                                                        : SM_CONNECTION_VIRTUAL;
    add_call(l, local, peer, connection, node->flags & SM_NODE_FAILED, node->duration_ns, node->duration_ns);
}

static void call_node(struct sm_linker *l, const struct sm_tree_node *node, struct remote *remote)
{
    if (node->kind == SM_KIND_SERVER || node->kind == SM_KIND_CONSUMER)
        call_to(l, node, remote);
    else if (node->kind != SM_KIND_UNSPECIFIED)
        call_from(l, node, remote);
}

const struct sm_linked *sm_linker_walk(struct sm_linker *l, const struct sm_view *view)
{
    reserve(l, view->count);
    l->late = view->trace->late && !view->context;
    l->out.link_count = 0;
    l->out.call_count = 0;
    memset(l->out.unpaired, 0, sizeof l->out.unpaired);
    sm_tree_build(&l->tree, view);
    l->out.unreachable = l->tree.unreachable;
    for (uint32_t i = 0; i < l->tree.count; i++) {
        const struct sm_tree_node *node = &l->tree.nodes[i];
        if (node->flags & SM_NODE_OUTSIDE)
            continue;
        struct remote remote = {.type = SM_EDGE_PEER};
        link_node(l, node, &remote);
        call_node(l, node, &remote);
    }
    return &l->out;
}
