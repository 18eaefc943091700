/* The tables of the shop. */
#include "app/demo_shop.h"

/* clang-format off */

const struct sm_demo_service sm_demo_services[SM_DEMO_SERVICE_COUNT] = {
    [SM_DEMO_FRONTEND]       = {"frontend", "2.4.1", "nodejs", 8080},
    [SM_DEMO_CART]           = {"cart", "1.9.0", "dotnet", 7070},
    [SM_DEMO_CATALOG]        = {"catalog", "3.0.2", "go", 3550},
    [SM_DEMO_RECOMMENDATION] = {"recommendation", "0.8.7", "python", 9090},
    [SM_DEMO_CHECKOUT]       = {"checkout", "2.1.0", "go", 5050},
    [SM_DEMO_PAYMENT]        = {"payment", "1.12.3", "java", 50051},
    [SM_DEMO_SHIPPING]       = {"shipping", "1.2.0", "rust", 50051},
    [SM_DEMO_EMAIL]          = {"email", "1.0.5", "ruby", 6060},
    [SM_DEMO_INGRESS]        = {"istio-ingressgateway", "1.24.1", "cpp", 8443},
    [SM_DEMO_SIDECAR]        = {"frontend.shop", "1.24.1", "cpp", 15006},
};

enum query { PRODUCT_LIST, PRODUCT_BY_ID, CART_READ, CART_WRITE, ORDER_INSERT };

const struct sm_demo_query sm_demo_queries[] = {
    [PRODUCT_LIST]  = {"postgresql", "shop-db", "catalog", "SELECT", "product",
                       "SELECT id, name, price FROM product WHERE category = $1 ORDER BY rank LIMIT 20",
                       5432, 4.0, 0.5, .slow = 0.02},
    [PRODUCT_BY_ID] = {"postgresql", "shop-db", "catalog", "SELECT", "product",
                       "SELECT * FROM product WHERE id = $1",
                       5432, 1.2, 0.4, .slow = 0.002},
    [CART_READ]     = {"redis", "cart-cache", "0", "HGETALL", NULL, "HGETALL ?", 6379, 0.4, 0.4, .slow = 0},
    [CART_WRITE]    = {"redis", "cart-cache", "0", "HSET", NULL, "HSET ? ? ?", 6379, 0.5, 0.4, .slow = 0},
    [ORDER_INSERT]  = {"postgresql", "shop-db", "orders", "INSERT", "customer_order",
                       "INSERT INTO customer_order (id, customer, total) VALUES ($1, $2, $3)",
                       5432, 3.0, 0.5, .slow = 0.01},
};

enum operation {
    HOME, PRODUCT, ADD_TO_CART, SHOW_CART, PLACE_ORDER, /* what users ask for */
    CATALOG_LIST, CATALOG_GET, RECOMMEND, CART_GET, CART_ADD, CHECKOUT, CHARGE, QUOTE, SHIP, CONFIRM,
    OPERATIONS
};

#define HTTP(service, method, route)  SM_DEMO_##service, SM_DEMO_HTTP, method, route
#define GRPC(service, rpc, method)    SM_DEMO_##service, SM_DEMO_GRPC, method, rpc
#define TOPIC(service, group, topic)  SM_DEMO_##service, SM_DEMO_TOPIC, group, topic
#define FAILS(chance, type, text)     .fails = chance, .error = type, .message = text

#define CALL(to, chance)              {SM_DEMO_CALL, to, chance, false}
#define CALL_OPTIONAL(to, chance)     {SM_DEMO_CALL, to, chance, true}
#define QUERY(what)                   {SM_DEMO_QUERY, what, 1, false}
#define PUBLISH(to)                   {SM_DEMO_PUBLISH, to, 1, false}

/* The numbers are median (ms) and spread of the work. */
const struct sm_demo_operation sm_demo_operations[] = {
    [HOME] = {HTTP(FRONTEND, "GET", "/"), 3, 0.4, .weight = 30,
              .steps = {CALL(CATALOG_LIST, 1), CALL_OPTIONAL(RECOMMEND, 0.5), CALL_OPTIONAL(CART_GET, 0.6)}},
    [PRODUCT] = {HTTP(FRONTEND, "GET", "/product/{id}"), 2.5, 0.4, .weight = 35,
                 .steps = {CALL(CATALOG_GET, 1), CALL_OPTIONAL(RECOMMEND, 1), CALL_OPTIONAL(CART_GET, 0.6)}},
    [ADD_TO_CART] = {HTTP(FRONTEND, "POST", "/cart"), 2, 0.4, .weight = 15,
                     .steps = {CALL(CATALOG_GET, 1), CALL(CART_ADD, 1)}},
    [SHOW_CART] = {HTTP(FRONTEND, "GET", "/cart"), 2, 0.4, .weight = 10,
                   .steps = {CALL(CART_GET, 1), CALL(QUOTE, 1), CALL_OPTIONAL(RECOMMEND, 1)}},
    [PLACE_ORDER] = {HTTP(FRONTEND, "POST", "/checkout"), 4, 0.4, .weight = 10,
                     .steps = {CALL(CHECKOUT, 1)}},

    [CATALOG_LIST] = {GRPC(CATALOG, "shop.Catalog", "ListProducts"), 1.5, 0.5,
                      .steps = {QUERY(PRODUCT_LIST)}},
    [CATALOG_GET] = {GRPC(CATALOG, "shop.Catalog", "GetProduct"), 0.8, 0.5,
                     FAILS(0.01, "NotFound", "no such product"),
                     .steps = {QUERY(PRODUCT_BY_ID)}},
    [RECOMMEND] = {GRPC(RECOMMENDATION, "shop.Recommendation", "ListRecommendations"), 8, 0.8, .slow = 0.03,
                   FAILS(0.02, "MemoryError", "model does not fit"),
                   .steps = {CALL(CATALOG_LIST, 1)}},
    [CART_GET] = {GRPC(CART, "shop.Cart", "GetCart"), 0.7, 0.4,
                  .steps = {QUERY(CART_READ)}},
    [CART_ADD] = {GRPC(CART, "shop.Cart", "AddItem"), 0.9, 0.4,
                  .steps = {QUERY(CART_READ), QUERY(CART_WRITE)}},
    [CHECKOUT] = {GRPC(CHECKOUT, "shop.Checkout", "PlaceOrder"), 5, 0.5,
                  .steps = {CALL(CART_GET, 1), CALL(CHARGE, 1), CALL(SHIP, 1), QUERY(ORDER_INSERT), PUBLISH(CONFIRM)}},
    [CHARGE] = {GRPC(PAYMENT, "shop.Payment", "Charge"), 45, 0.6, .slow = 0.04,
                FAILS(0.06, "PaymentDeclined", "card declined by issuer")},
    [QUOTE] = {HTTP(SHIPPING, "POST", "/quote"), 3, 0.5, .slow = 0.01},
    [SHIP] = {HTTP(SHIPPING, "POST", "/ship"), 12, 0.7,
              FAILS(0.01, "CarrierTimeout", "carrier did not answer in time")},
    [CONFIRM] = {TOPIC(EMAIL, "email", "orders"), 25, 0.6,
                 FAILS(0.02, "SMTPServerBusy", "421 try again later")},
};

const unsigned sm_demo_operation_count = OPERATIONS;

const struct sm_demo_operation sm_demo_proxied = {HTTP(FRONTEND, "GET", "/api/currencies"), 2, 0.5, .slow = 0.02,
                                                  FAILS(0.03, "RateFeedError", "exchange rates are stale")};
