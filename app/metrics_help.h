/* `spanmill help metrics` and `spanmill help reasons`, and the pages of docs/reference that they write. What metrics there are
 * is taken from the exposition of a daemon without traffic, so that the help cannot differ from what is scraped. */
#ifndef SM_METRICS_HELP_H
#define SM_METRICS_HELP_H

#include "base/buf.h"

/* Every metric with type, labels and meaning. */
void sm_metrics_help_text(struct sm_buf *out);
/* The whole of docs/reference/metrics.md. */
void sm_metrics_help_markdown(struct sm_buf *out);

/* Every reason for which a payload, span or window is counted, with its meaning. */
void sm_metrics_help_reasons_text(struct sm_buf *out);
/* The whole of docs/reference/drop-reasons.md. */
void sm_metrics_help_reasons_markdown(struct sm_buf *out);

#endif
