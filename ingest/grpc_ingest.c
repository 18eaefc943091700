/* Shared by receivers over gRPC. */
#include "ingest/grpc_ingest.h"

#include "ingest/rpc_status.h"

void sm_grpc_ingest_fail(struct sm_http_exchange *x, enum sm_grpc_status status, const char *text, int64_t retry_after_ns)
{
    uint8_t details[SM_RPC_STATUS_SIZE_MAX];
    size_t size = retry_after_ns ? sm_rpc_status_proto(details, status, text, retry_after_ns) : 0;
    sm_grpc_reply(x, status, sm_str_c(text), sm_str(details, size), SM_STR(""));
}

void sm_grpc_ingest_refuse(struct sm_http_exchange *x, const struct sm_submit *r)
{
    switch (r->rc) {
    case SM_E_AGAIN:
        sm_grpc_ingest_fail(x, SM_GRPC_UNAVAILABLE, r->text, r->retry_after_ns);
        return;
    case SM_E_LIMIT:
        sm_grpc_ingest_fail(x, SM_GRPC_RESOURCE_EXHAUSTED, r->text, 0);
        return;
    case SM_E_UNSUPPORTED:
        sm_grpc_ingest_fail(x, SM_GRPC_UNIMPLEMENTED, r->text, 0);
        return;
    default:
        sm_grpc_ingest_fail(x, SM_GRPC_INVALID_ARGUMENT, r->text, 0);
        return;
    }
}

struct sm_payload *sm_grpc_ingest_take(struct sm_receiver *r, struct sm_http_exchange *x)
{
    struct sm_str coding = x->grpc_compressed ? x->known[SM_HTTP_GRPC_ENCODING] : SM_STR("");
    if (x->grpc_compressed && sm_coding_from_name(coding) == SM_CODING_IDENTITY) {
        sm_worker_count_undecodable(r->worker);
        sm_grpc_ingest_fail(x, SM_GRPC_INTERNAL, "a compressed message without grpc-encoding", 0);
        return NULL;
    }
    struct sm_submit result;
    struct sm_payload *message = sm_http_ingest_take(r, x, coding, &result);
    if (!message && (result.rc == SM_E_INVALID || result.rc == SM_E_TRUNCATED))
        sm_grpc_ingest_fail(x, SM_GRPC_INTERNAL, result.text, 0);
    else if (!message)
        sm_grpc_ingest_refuse(x, &result);
    return message;
}

bool sm_grpc_ingest_submit(struct sm_receiver *r, struct sm_http_exchange *x, const struct sm_codec *codec,
                           struct sm_submit *result)
{
    struct sm_payload *message = sm_grpc_ingest_take(r, x);
    if (!message)
        return false;
    sm_http_ingest_submit_payload(r, x, codec, message, result);
    if (result->rc != SM_OK)
        sm_grpc_ingest_refuse(x, result);
    return result->rc == SM_OK;
}
