/* The name of the other side of a call, as the attributes of one span tell it. analysis/linker.h lists the order. */
#ifndef SM_PEER_H
#define SM_PEER_H

#include "base/base.h"
#include "span/graph.h"
#include "span/view.h"

/* Longer names are not names. */
#define SM_PEER_NAME_MAX 255

struct sm_peer {
    struct sm_str name; /* empty: not told; points into the span's bytes or into `text` */
    bool too_long;      /* a name was there, longer than SM_PEER_NAME_MAX */
    uint8_t type;       /* enum sm_edge_type: DATABASE, MESSAGING or PEER, also without a name */
    char text[SM_PEER_NAME_MAX];
};

/* `kind` is the span's, or that of the node which the record is a part of. `addresses`: server.address and
 * net.peer.name may name the peer of a client. */
void sm_peer_read(const struct sm_view_span *record, enum sm_kind kind, bool addresses, struct sm_peer *peer);

#endif
