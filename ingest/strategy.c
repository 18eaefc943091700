/* Sampling strategies as JSON and protobuf. */
#include "ingest/strategy.h"

#include "base/json_out.h"
#include "base/pb.h"

#include <math.h>

enum { PER_SECOND_MAX = 32767 };

/* ---- protobuf ---- */

static void put_varint(struct sm_buf *b, uint64_t v)
{
    uint8_t bytes[SM_PB_VARINT_SIZE_MAX];
    sm_buf_put(b, bytes, (size_t)(sm_pb_put_varint(bytes, v) - bytes));
}

static void put_head(struct sm_buf *b, uint32_t field, size_t size)
{
    put_varint(b, SM_PB_TAG(field, SM_PB_BYTES));
    put_varint(b, size);
}

/* Zeros are left out. */
static size_t double_size(double v)
{
    return v != 0 ? 1 + sizeof v : 0;
}

static void put_double(struct sm_buf *b, uint32_t field, double v)
{
    uint8_t bytes[sizeof v];
    uint64_t bits;
    if (v == 0)
        return;
    memcpy(&bits, &v, sizeof bits);
    sm_store_le64(bytes, bits);
    put_varint(b, SM_PB_TAG(field, SM_PB_FIXED64));
    sm_buf_put(b, bytes, sizeof bytes);
}

static void put_probability(struct sm_buf *b, uint32_t field, double probability)
{
    put_head(b, field, double_size(probability));
    put_double(b, 1, probability);
}

/* ---- both ---- */

static void put_json_number(struct sm_strategy *s, const char *before, double v)
{
    sm_buf_puts(s->out, before);
    sm_json_put_double(s->out, v);
}

void sm_strategy_probability(struct sm_strategy *s, enum sm_strategy_form form, struct sm_buf *out, double probability)
{
    *s = (struct sm_strategy){.form = form, .out = out};
    if (form == SM_STRATEGY_PROTO) {
        put_probability(out, 2, probability);
        return;
    }
    sm_buf_puts(out, form == SM_STRATEGY_JSON ? "{\"strategyType\":\"PROBABILISTIC\"" : "{\"strategyType\":0");
    put_json_number(s, ",\"probabilisticSampling\":{\"samplingRate\":", probability);
    sm_buf_putc(out, '}');
}

void sm_strategy_rate(struct sm_strategy *s, enum sm_strategy_form form, struct sm_buf *out, double traces_per_second)
{
    unsigned rate = (unsigned)fmin(traces_per_second, PER_SECOND_MAX);
    *s = (struct sm_strategy){.form = form, .out = out};
    if (form == SM_STRATEGY_PROTO) {
        put_varint(out, SM_PB_TAG(1, SM_PB_VARINT));
        put_varint(out, 1);
        put_head(out, 3, rate ? 1 + sm_pb_varint_size(rate) : 0);
        if (rate) {
            put_varint(out, SM_PB_TAG(1, SM_PB_VARINT));
            put_varint(out, rate);
        }
        return;
    }
    sm_buf_puts(out, form == SM_STRATEGY_JSON ? "{\"strategyType\":\"RATE_LIMITING\"" : "{\"strategyType\":1");
    sm_buf_printf(out, ",\"rateLimitingSampling\":{\"maxTracesPerSecond\":%u}", rate);
}

void sm_strategy_operations(struct sm_strategy *s, double otherwise, double lower_bound)
{
    s->has_operations = true;
    if (s->form == SM_STRATEGY_PROTO) {
        put_double(&s->nested, 1, otherwise);
        put_double(&s->nested, 2, lower_bound);
        return;
    }
    put_json_number(s, ",\"operationSampling\":{\"defaultSamplingProbability\":", otherwise);
    put_json_number(s, ",\"defaultLowerBoundTracesPerSecond\":", lower_bound);
    sm_buf_puts(s->out, ",\"perOperationStrategies\":[");
}

void sm_strategy_operation(struct sm_strategy *s, struct sm_str name, double probability)
{
    if (s->form == SM_STRATEGY_PROTO) {
        struct sm_buf *b = &s->nested;
        size_t inner = double_size(probability);
        put_head(b, 3, 1 + sm_pb_varint_size(name.len) + name.len + 1 + sm_pb_varint_size(inner) + inner);
        put_head(b, 1, name.len);
        sm_buf_put_str(b, name);
        put_probability(b, 2, probability);
        return;
    }
    sm_buf_puts(s->out, s->operations++ ? ",{\"operation\":" : "{\"operation\":");
    sm_json_put_string(s->out, name);
    put_json_number(s, ",\"probabilisticSampling\":{\"samplingRate\":", probability);
    sm_buf_puts(s->out, "}}");
}

void sm_strategy_end(struct sm_strategy *s)
{
    if (s->form != SM_STRATEGY_PROTO) {
        sm_buf_puts(s->out, s->has_operations ? "],\"defaultUpperBoundTracesPerSecond\":0}}" : "}");
        return;
    }
    if (s->has_operations) {
        put_head(s->out, 4, s->nested.size);
        sm_buf_put_str(s->out, sm_buf_str(&s->nested));
    }
    sm_buf_fini(&s->nested);
}
