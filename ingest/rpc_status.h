/* The small protobuf messages that OTLP replies with, and their JSON forms. */
#ifndef SM_RPC_STATUS_H
#define SM_RPC_STATUS_H

#include "base/base.h"

#define SM_RPC_STATUS_SIZE_MAX 512

/* google.rpc.Status{code=1, message=2, details=3: RetryInfo{retry_delay=1} when retry_after_ns > 0}. Returns the size. */
size_t sm_rpc_status_proto(uint8_t out[SM_RPC_STATUS_SIZE_MAX], uint32_t code, const char *message, int64_t retry_after_ns);

/* {"code":..,"message":".."} */
size_t sm_rpc_status_json(char out[SM_RPC_STATUS_SIZE_MAX], uint32_t code, const char *message);

/* ExportTraceServiceResponse{partial_success=1{rejected_spans=1, error_message=2}}; empty when nothing was rejected. */
size_t sm_rpc_export_proto(uint8_t out[SM_RPC_STATUS_SIZE_MAX], uint32_t rejected, const char *message);
size_t sm_rpc_export_json(char out[SM_RPC_STATUS_SIZE_MAX], uint32_t rejected, const char *message);

#endif
