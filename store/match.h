/* Does a trace meet a query's conditions? Decides on canonical bytes, span by span, for what the index could only narrow down. */
#ifndef SM_STORE_MATCH_H
#define SM_STORE_MATCH_H

#include "base/base.h"
#include "base/buf.h"
#include "store/store.h"

/* Scratch for values as text; zero-initialise, sm_buf_fini. */
struct sm_matcher {
    const struct sm_store_query *query;
    struct sm_buf text;
};

enum sm_match_result {
    SM_MATCH_NO,
    SM_MATCH_SOME, /* SM_STORE_MATCH_TRACE: some conditions are met; with further parts of the trace all may be */
    SM_MATCH_YES,
};

enum sm_match_result sm_match_trace(struct sm_matcher *m, const struct sm_encode_span *spans, uint32_t count);

/* ASCII case only. */
bool sm_match_name(struct sm_str a, struct sm_str b, bool fold_case);

#endif
