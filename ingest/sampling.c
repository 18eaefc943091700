/* Rates for clients, from the file and from what was learnt. */
#include "ingest/sampling.h"

#include "base/pb.h"
#include "base/published.h"
#include "ingest/sampling_file.h"
#include "span/rates.h"

#include <stdlib.h>

struct sm_sampling {
    struct sm_sampling_file *file;
    struct sm_published_reader *rates; /* NULL: there are none */
};

static struct sm_sampling *open_sampling(const struct sm_listener *listener, struct sm_err *err)
{
    struct sm_sampling_file *file = sm_sampling_file_open(listener->sampling_file, err);
    if (!file)
        return NULL;
    struct sm_sampling *s = sm_xcalloc(1, sizeof *s);
    s->file = file;
    s->rates = listener->rates ? sm_published_join(listener->rates) : NULL;
    return s;
}

static void close_sampling(struct sm_sampling *s)
{
    if (!s)
        return;
    sm_sampling_file_close(s->file);
    free(s);
}

struct sm_receiver *sm_sampling_open_receiver(const struct sm_listener *listener, struct sm_worker *worker,
                                              const struct sm_http_handler *handler, uint16_t *port, struct sm_err *err)
{
    struct sm_sampling *s = open_sampling(listener, err);
    struct sm_receiver *r = s ? sm_http_ingest_open(listener, worker, handler, port, err) : NULL;
    if (r)
        r->own = s;
    else
        close_sampling(s);
    return r;
}

void sm_sampling_close_receiver(struct sm_receiver *r)
{
    struct sm_sampling *s = r ? r->own : NULL;
    sm_http_ingest_close(r);
    close_sampling(s);
}

/* Clients that do not know operations, or have none yet, read the probability of all. */
static void put_rates(const struct sm_rates *rates, struct sm_str service, enum sm_strategy_form form, struct sm_buf *out)
{
    struct sm_strategy reply;
    uint32_t count;
    const struct sm_rate *of_service = sm_rates_find(rates, service, &count);
    sm_strategy_probability(&reply, form, out, rates->initial);
    sm_strategy_operations(&reply, rates->initial, rates->lower_bound);
    for (uint32_t i = 0; i < count; i++)
        sm_strategy_operation(&reply, of_service[i].operation, of_service[i].probability);
    sm_strategy_end(&reply);
}

void sm_sampling_put(struct sm_sampling *s, struct sm_str service, enum sm_strategy_form form, struct sm_buf *out)
{
    sm_sampling_file_refresh(s->file);
    if (!s->rates || sm_sampling_file_names(s->file, service)) {
        sm_sampling_file_put(s->file, service, form, out);
        return;
    }
    put_rates(sm_published_hold(s->rates), service, form, out);
    sm_published_let_go(s->rates);
}

/* SamplingStrategyParameters{service_name=1}. */
static bool read_service(const struct sm_payload *message, struct sm_str *service)
{
    const uint8_t *p = message->data, *end = sm_pb_end(p, message->size);
    struct sm_pb_field f;
    *service = SM_STR("");
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == 1 && f.wire == SM_PB_BYTES)
            *service = sm_str(f.bytes, f.size);
    }
    return p == end;
}

void sm_sampling_reply_grpc(struct sm_sampling *s, struct sm_receiver *r, struct sm_http_exchange *x)
{
    struct sm_payload *message = sm_grpc_ingest_take(r, x);
    struct sm_str service;
    if (!message)
        return;
    if (read_service(message, &service)) {
        struct sm_buf out = {0};
        sm_sampling_put(s, service, SM_STRATEGY_PROTO, &out);
        sm_grpc_reply(x, SM_GRPC_OK, SM_STR(""), SM_STR(""), sm_buf_str(&out));
        sm_buf_fini(&out);
    } else {
        sm_grpc_ingest_fail(x, SM_GRPC_INVALID_ARGUMENT, "malformed SamplingStrategyParameters", 0);
    }
    sm_payload_put(message);
}
