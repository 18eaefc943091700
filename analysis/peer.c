/* Names of peers from attributes. */
#include "analysis/peer.h"

#include "span/attr.h"
#include "span/private.h"
#include "span/wanted.h"

#include <stdio.h>

/* Side records of the built-in keys by slot; 0: absent (no value lies at offset 0). */
struct found {
    const struct sm_view_span *record;
    uint32_t at[SM_SLOT_FIXED_COUNT];
};

static void find_values(struct found *f, const struct sm_view_span *record)
{
    const uint32_t *wanted = sm_span_wanted(record->span);
    memset(f, 0, sizeof *f);
    f->record = record;
    for (unsigned i = 0; i < record->span->n_wanted; i++) {
        uint32_t slot = SM_WANTED_SLOT(wanted[i]);
        if (slot < SM_SLOT_FIXED_COUNT && !f->at[slot])
            f->at[slot] = wanted[i];
    }
}

/* The value of a slot if it is a string, else the empty view. */
static struct sm_str text_of(const struct found *f, enum sm_slot slot)
{
    struct sm_value value;
    if (!f->at[slot] || !sm_value_at(f->record->bytes, f->record->span->size, f->at[slot], &value))
        return SM_STR("");
    return value.type == SM_VALUE_STRING ? value.bytes : SM_STR("");
}

/* The first of some slots that has a text. */
static struct sm_str first_text(const struct found *f, const enum sm_slot *slots, unsigned count)
{
    struct sm_str text = SM_STR("");
    for (unsigned i = 0; i < count && !text.len; i++)
        text = text_of(f, slots[i]);
    return text;
}

static const enum sm_slot peer_slots[] = {SM_SLOT_SERVICE_PEER_NAME, SM_SLOT_PEER_SERVICE};
static const enum sm_slot address_slots[] = {SM_SLOT_SERVER_ADDRESS, SM_SLOT_NET_PEER_NAME};
static const enum sm_slot database_slots[] = {SM_SLOT_DB_NAMESPACE, SM_SLOT_DB_NAME, SM_SLOT_DB_SYSTEM_NAME,
                                              SM_SLOT_DB_SYSTEM};

static bool is_database(const struct found *f)
{
    for (unsigned i = 0; i < SM_ARRAY_LEN(database_slots); i++)
        if (f->at[database_slots[i]])
            return true;
    return false;
}

/* Joins two texts in peer->text; a long result is none. */
static struct sm_str join(struct sm_peer *peer, struct sm_str a, char between, struct sm_str b)
{
    if (a.len + 1 + b.len > sizeof peer->text) {
        peer->too_long = true;
        return SM_STR("");
    }
    memcpy(peer->text, a.ptr, a.len);
    peer->text[a.len] = between;
    memcpy(peer->text + a.len + 1, b.ptr, b.len);
    return sm_str(peer->text, a.len + 1 + b.len);
}

static struct sm_str network_address(const struct found *f, struct sm_peer *peer)
{
    struct sm_str host = text_of(f, SM_SLOT_NETWORK_PEER_ADDRESS), port_text = text_of(f, SM_SLOT_NETWORK_PEER_PORT);
    struct sm_value port;
    if (!host.len || !f->at[SM_SLOT_NETWORK_PEER_PORT])
        return host;
    char digits[24];
    if (!port_text.len &&
        sm_value_at(f->record->bytes, f->record->span->size, f->at[SM_SLOT_NETWORK_PEER_PORT], &port) &&
        port.type == SM_VALUE_INT)
        port_text = sm_str(digits, (size_t)snprintf(digits, sizeof digits, "%lld", (long long)port.i));
    return port_text.len ? join(peer, host, ':', port_text) : host;
}

static struct sm_str database_name(const struct found *f, struct sm_peer *peer)
{
    struct sm_str name = text_of(f, SM_SLOT_SERVER_ADDRESS);
    if (!name.len)
        name = network_address(f, peer);
    if (!name.len)
        name = first_text(f, database_slots, SM_ARRAY_LEN(database_slots));
    return name;
}

static struct sm_str broker_name(const struct found *f, struct sm_peer *peer)
{
    struct sm_str system = text_of(f, SM_SLOT_MESSAGING_SYSTEM);
    struct sm_str destination = text_of(f, SM_SLOT_MESSAGING_DESTINATION_NAME);
    if (system.len && destination.len)
        return join(peer, system, '/', destination);
    return system.len ? system : destination;
}

/* What Zipkin knows: the remote endpoint's service. */
static struct sm_str zipkin_name(const struct found *f, const struct sm_private *priv)
{
    return priv->remote.service.len ? priv->remote.service : text_of(f, SM_SLOT_PEER_SERVICE);
}

static bool from_zipkin(const struct sm_view_span *record, struct sm_private *priv)
{
    return record->span->zipkin && sm_private_read(record->span, record->bytes, priv);
}

static struct sm_str otlp_name(const struct found *f, enum sm_kind kind, bool addresses, struct sm_peer *peer)
{
    struct sm_str name = first_text(f, peer_slots, SM_ARRAY_LEN(peer_slots));
    if (name.len || kind == SM_KIND_UNSPECIFIED || kind == SM_KIND_SERVER)
        return name;
    if (peer->type == SM_EDGE_DATABASE)
        name = database_name(f, peer);
    else if (peer->type == SM_EDGE_MESSAGING)
        name = broker_name(f, peer);
    if (!name.len && addresses && kind != SM_KIND_CONSUMER)
        name = first_text(f, address_slots, SM_ARRAY_LEN(address_slots));
    return name;
}

static uint8_t type_of(const struct found *f, enum sm_kind kind)
{
    if (kind == SM_KIND_CLIENT && is_database(f))
        return SM_EDGE_DATABASE;
    if (kind == SM_KIND_PRODUCER || kind == SM_KIND_CONSUMER ||
        (kind == SM_KIND_CLIENT && f->at[SM_SLOT_MESSAGING_SYSTEM]))
        return SM_EDGE_MESSAGING;
    return SM_EDGE_PEER;
}

void sm_peer_read(const struct sm_view_span *record, enum sm_kind kind, bool addresses, struct sm_peer *peer)
{
    struct found f;
    struct sm_private priv;
    find_values(&f, record);
    peer->too_long = false;
    peer->type = type_of(&f, kind);
    if (from_zipkin(record, &priv))
        peer->name = zipkin_name(&f, &priv);
    else
        peer->name = otlp_name(&f, kind, addresses, peer);
    if (peer->name.len > SM_PEER_NAME_MAX || peer->too_long) {
        peer->name = SM_STR("");
        peer->too_long = true;
    }
}
