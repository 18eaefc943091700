/* Shared settings and those of single listeners, put together. */
#include "app/config_listeners.h"
#include "app/config_key.h"
#include "app/config_yaml.h"
#include "app/receivers.h"
#include "base/nearest.h"
#include "base/net/cors.h"
#include "base/net/unix_socket.h"

#include <stdlib.h>

#define SECTION     "listen."
#define SECTION_LEN (sizeof SECTION - 1)

bool sm_config_listeners_at(unsigned i, const char **name, size_t *offset)
{
    for (size_t k = 0; k < sm_config_key_count; k++) {
        const struct sm_config_key *key = &sm_config_keys[k];
        if (key->type != SM_CONFIG_ADDRESS || strncmp(key->path, SECTION, SECTION_LEN) != 0 || i--)
            continue;
        *name = key->path + SECTION_LEN;
        *offset = key->offset;
        return true;
    }
    return false;
}

/* ---- putting together ---- */

static const struct sm_config_listener *find_own(const struct sm_config *c, const char *name)
{
    for (size_t i = 0; i < c->listeners.n; i++) {
        if (c->listeners.items[i].name && strcmp(c->listeners.items[i].name, name) == 0)
            return &c->listeners.items[i];
    }
    return NULL;
}

static bool is_off(const char *text)
{
    return strcmp(text, "off") == 0;
}

static const char *pick(const char *own, const char *shared)
{
    const char *text = own ? own : shared;
    return text && !is_off(text) ? text : NULL;
}

static void pick_files(struct sm_config_door *door, const struct sm_config_listener *own)
{
    door->cert = pick(own->tls.cert, door->cert);
    door->key = pick(own->tls.key, door->key);
    door->client_ca = pick(own->tls.client_ca, door->client_ca);
    door->tokens = pick(own->auth.tokens, door->tokens);
    door->users = pick(own->auth.users, door->users);
}

static unsigned log2_of(uint64_t n)
{
    return 63 - (unsigned)__builtin_clzll(n);
}

#define PICK(to, own, field) ((to)->field = (own)->field ? (own)->field : (to)->field)

static void pick_limits(struct sm_config_door *door, const struct sm_config_listener *own)
{
    PICK(&door->http, &own->http, connections_max);
    PICK(&door->http, &own->http, header_bytes_max);
    PICK(&door->http, &own->http, headers_max);
    PICK(&door->http, &own->http, body_bytes_max);
    PICK(&door->http, &own->http, grpc_message_bytes_max);
    PICK(&door->http, &own->http, header_ns);
    PICK(&door->http, &own->http, request_ns);
    PICK(&door->http, &own->http, idle_ns);
    PICK(&door->http, &own->http, connection_age_ns);
    PICK(&door->http, &own->http, connection_grace_ns);
    PICK(&door->http, &own->http, streams_max);
    PICK(&door->inflate, &own->inflate, bytes_max);
    PICK(&door->inflate, &own->inflate, ratio_max);
    if (own->zstd_window_bytes_max)
        door->inflate.zstd_window_log_max = log2_of(own->zstd_window_bytes_max);
}

struct sm_config_door sm_config_listeners_door(const struct sm_config *c, const char *name)
{
    const struct sm_config_listener *own = find_own(c, name);
    struct sm_config_door door = {
        .cert = c->tls.cert,
        .key = c->tls.key,
        .client_ca = c->tls.client_ca,
        .tokens = c->auth.tokens,
        .users = c->auth.users,
        .origins = own && own->cors.origins.n ? &own->cors.origins : &c->cors.origins,
        .http = c->http,
        .inflate = sm_inflate_limits_default,
    };
    door.inflate.bytes_max = c->limits.inflated_bytes_max;
    door.inflate.ratio_max = c->limits.inflate_ratio_max;
    door.inflate.zstd_window_log_max = log2_of(c->limits.zstd_window_bytes_max);
    if (own) {
        pick_files(&door, own);
        pick_limits(&door, own);
    }
    if (!door.cert) /* plain text: the others have no meaning */
        door.key = door.client_ca = NULL;
    if (!door.origins->n || (door.origins->n == 1 && is_off(door.origins->items[0])))
        door.origins = NULL;
    return door;
}

unsigned sm_config_listeners_socket_mode(const struct sm_config *c)
{
    return (unsigned)strtoul(c->listen.socket_mode, NULL, 8);
}

/* ---- what must hold ---- */

static bool is_datagram(const char *name)
{
    return strstr(name, "udp") != NULL;
}

static void validate_name(const struct sm_config *c, size_t i, struct sm_config_report *report)
{
    const struct sm_config_listener *own = &c->listeners.items[i];
    const char *names[32];
    size_t n = 0, offset;
    bool known = false;
    while (own->name && n < SM_ARRAY_LEN(names) && sm_config_listeners_at((unsigned)n, &names[n], &offset))
        known |= strcmp(names[n++], own->name) == 0;
    const char *nearest = own->name && !known ? sm_nearest(sm_str_c(own->name), names, n) : NULL;
    if (own->name && !known)
        sm_config_report_add(report, &own->pos, "listeners[%zu].name: there is no listen.%.64s%s%s%s", i, own->name,
                             nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    if (own->name && known && is_datagram(own->name))
        sm_config_report_add(report, &own->pos, "listeners[%zu]: %s receives datagrams, which can be guarded by no key of these", i,
                             own->name);
    for (size_t k = 0; k < i; k++) {
        const char *other = c->listeners.items[k].name;
        if (other && own->name && strcmp(other, own->name) == 0)
            sm_config_report_add(report, &own->pos, "listeners[%zu]: the name \"%s\" is taken", i, own->name);
    }
}

static const struct sm_config_pos *place_of_listener(const struct sm_config *c, const char *name)
{
    char path[SM_CONFIG_PATH_MAX];
    snprintf(path, sizeof path, "listen.%s", name);
    return sm_config_place(c, path);
}

/* A listener that is off need not make sense. */
static void validate_door(const struct sm_config *c, const char *name, const char *address, struct sm_config_report *report)
{
    const struct sm_config_listener *own = find_own(c, name);
    const struct sm_config_pos *pos = own ? &own->pos : NULL;
    struct sm_config_door door = sm_config_listeners_door(c, name);
    if (is_datagram(name)) {
        if (sm_unix_path(address))
            sm_config_report_add(report, place_of_listener(c, name), "listen.%s: datagrams need host:port", name);
        return;
    }
    if (own && door.cert && !door.key)
        sm_config_report_add(report, pos, "listener %s: tls.cert and tls.key belong together", name);
    if (own && own->tls.cert && !is_off(own->tls.cert) && !own->tls.key)
        sm_config_report_add(report, pos, "listener %s: a tls.cert of its own needs a tls.key of its own", name);
}

/* One receiver at one address is opened once, with the settings of the first. */
static void validate_followers(const struct sm_config *c, struct sm_config_report *report)
{
    for (const struct sm_receivers_line *line = sm_receivers; line < sm_receivers + SM_RECEIVERS_COUNT; line++) {
        const struct sm_config_listener *own = find_own(c, line->key);
        for (const struct sm_receivers_line *first = sm_receivers; own && first < line; first++) {
            if (first->ops == line->ops && sm_receivers_meet(sm_receivers_address(c, first), sm_receivers_address(c, line)))
                sm_config_report_add(report, &own->pos, "listeners[%zu]: %s is at the address of %s, whose settings hold for both",
                                     (size_t)(own - c->listeners.items), line->key, first->key);
        }
    }
}

static void validate_origins(const struct sm_config_strings *origins, const struct sm_config_strings *headers, const char *key,
                             const struct sm_config_pos *pos, struct sm_config_report *report)
{
    struct sm_err err;
    if (origins->n == 1 && is_off(origins->items[0]))
        return;
    struct sm_cors *cors = sm_cors_new(&(struct sm_cors_config){(const char *const *)origins->items, origins->n,
                                                                (const char *const *)headers->items, headers->n, 0},
                                       &err);
    if (!cors)
        sm_config_report_add(report, pos, "%s: %s", key, err.text);
    sm_cors_free(cors);
}

static void validate_shared(const struct sm_config *c, struct sm_config_report *report)
{
    if (!c->tls.cert != !c->tls.key)
        sm_config_report_add(report, sm_config_place(c, c->tls.cert ? "tls.cert" : "tls.key"), "tls.cert and tls.key belong together");
    if (c->tls.client_ca && !c->tls.cert)
        sm_config_report_add(report, sm_config_place(c, "tls.client_ca"), "tls.client_ca has a meaning only with tls.cert");
    if (strspn(c->listen.socket_mode, "01234567") != strlen(c->listen.socket_mode) || sm_config_listeners_socket_mode(c) > 0777)
        sm_config_report_add(report, sm_config_place(c, "listen.socket_mode"),
                             "listen.socket_mode: \"%s\" is no mode; write for example 0660", c->listen.socket_mode);
    validate_origins(&c->cors.origins, &c->cors.headers, "cors", sm_config_place(c, "cors.origins"), report);
}

void sm_config_listeners_validate(const struct sm_config *c, struct sm_config_report *report)
{
    const char *name;
    size_t offset;
    validate_shared(c, report);
    for (size_t i = 0; i < c->listeners.n; i++) {
        const struct sm_config_listener *own = &c->listeners.items[i];
        validate_name(c, i, report);
        validate_origins(&own->cors.origins, &c->cors.headers, "listeners[].cors.origins", &own->pos, report);
    }
    validate_followers(c, report);
    for (unsigned i = 0; sm_config_listeners_at(i, &name, &offset); i++) {
        const char *address = *(char *const *)((const char *)c + offset);
        if (address)
            validate_door(c, name, address, report);
    }
}
