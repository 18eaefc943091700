/* The tables of the shop. */
#include "app/demo_shop.h"

const struct sm_demo_service sm_demo_services[SM_DEMO_SERVICE_COUNT] = {
    [SM_DEMO_FRONTEND] = {"frontend", "2.4.1", "nodejs", 8080},
    [SM_DEMO_CART] = {"cart", "1.9.0", "dotnet", 7070},
    [SM_DEMO_CATALOG] = {"catalog", "3.0.2", "go", 3550},
    [SM_DEMO_RECOMMENDATION] = {"recommendation", "0.8.7", "python", 9090},
    [SM_DEMO_CHECKOUT] = {"checkout", "2.1.0", "go", 5050},
    [SM_DEMO_PAYMENT] = {"payment", "1.12.3", "java", 50051},
    [SM_DEMO_SHIPPING] = {"shipping", "1.2.0", "rust", 50051},
    [SM_DEMO_EMAIL] = {"email", "1.0.5", "ruby", 6060},
    [SM_DEMO_INGRESS] = {"istio-ingressgateway", "1.24.1", "cpp", 8443},
    [SM_DEMO_SIDECAR] = {"frontend.shop", "1.24.1", "cpp", 15006},
};

enum query { PRODUCT_LIST, PRODUCT_BY_ID, CART_READ, CART_WRITE, ORDER_INSERT };

const struct sm_demo_query sm_demo_queries[] = {
    [PRODUCT_LIST] = {"postgresql", "shop-db", "catalog", "SELECT", "product",
                      "SELECT id, name, price FROM product WHERE category = $1 ORDER BY rank LIMIT 20", 5432, 4.0, 0.5, 0.02},
    [PRODUCT_BY_ID] = {"postgresql", "shop-db", "catalog", "SELECT", "product", "SELECT * FROM product WHERE id = $1", 5432, 1.2,
                       0.4, 0.002},
    [CART_READ] = {"redis", "cart-cache", "0", "HGETALL", NULL, "HGETALL ?", 6379, 0.4, 0.4, 0},
    [CART_WRITE] = {"redis", "cart-cache", "0", "HSET", NULL, "HSET ? ? ?", 6379, 0.5, 0.4, 0},
    [ORDER_INSERT] = {"postgresql", "shop-db", "orders", "INSERT", "customer_order",
                      "INSERT INTO customer_order (id, customer, total) VALUES ($1, $2, $3)", 5432, 3.0, 0.5, 0.01},
};

enum operation {
    HOME,
    PRODUCT,
    ADD_TO_CART,
    SHOW_CART,
    PLACE_ORDER,
    CATALOG_LIST,
    CATALOG_GET,
    RECOMMEND,
    CART_GET,
    CART_ADD,
    CHECKOUT,
    CHARGE,
    QUOTE,
    SHIP,
    CONFIRM,
    OPERATIONS
};

#define CALL(to, chance)          {SM_DEMO_CALL, to, chance, false}
#define CALL_OPTIONAL(to, chance) {SM_DEMO_CALL, to, chance, true}
#define QUERY(what)               {SM_DEMO_QUERY, what, 1, false}
#define PUBLISH(to)               {SM_DEMO_PUBLISH, to, 1, false}

const struct sm_demo_operation sm_demo_operations[] = {
    [HOME] = {.service = SM_DEMO_FRONTEND, .method = "GET", .route = "/", .ms = 3, .spread = 0.4, .weight = 30,
              .steps = {CALL(CATALOG_LIST, 1), CALL_OPTIONAL(RECOMMEND, 0.5), CALL_OPTIONAL(CART_GET, 0.6)}},
    [PRODUCT] = {.service = SM_DEMO_FRONTEND, .method = "GET", .route = "/product/{id}", .ms = 2.5, .spread = 0.4, .weight = 35,
                 .steps = {CALL(CATALOG_GET, 1), CALL_OPTIONAL(RECOMMEND, 1), CALL_OPTIONAL(CART_GET, 0.6)}},
    [ADD_TO_CART] = {.service = SM_DEMO_FRONTEND, .method = "POST", .route = "/cart", .ms = 2, .spread = 0.4, .weight = 15,
                     .steps = {CALL(CATALOG_GET, 1), CALL(CART_ADD, 1)}},
    [SHOW_CART] = {.service = SM_DEMO_FRONTEND, .method = "GET", .route = "/cart", .ms = 2, .spread = 0.4, .weight = 10,
                   .steps = {CALL(CART_GET, 1), CALL(QUOTE, 1), CALL_OPTIONAL(RECOMMEND, 1)}},
    [PLACE_ORDER] = {.service = SM_DEMO_FRONTEND, .method = "POST", .route = "/checkout", .ms = 4, .spread = 0.4, .weight = 10,
                     .steps = {CALL(CHECKOUT, 1)}},
    [CATALOG_LIST] = {.service = SM_DEMO_CATALOG, .protocol = SM_DEMO_GRPC, .method = "ListProducts", .route = "shop.Catalog",
                      .ms = 1.5, .spread = 0.5, .steps = {QUERY(PRODUCT_LIST)}},
    [CATALOG_GET] = {.service = SM_DEMO_CATALOG, .protocol = SM_DEMO_GRPC, .method = "GetProduct", .route = "shop.Catalog",
                     .ms = 0.8, .spread = 0.5, .fails = 0.01, .error = "NotFound", .message = "no such product",
                     .steps = {QUERY(PRODUCT_BY_ID)}},
    [RECOMMEND] = {.service = SM_DEMO_RECOMMENDATION, .protocol = SM_DEMO_GRPC, .method = "ListRecommendations",
                   .route = "shop.Recommendation", .ms = 8, .spread = 0.8, .slow = 0.03, .fails = 0.02, .error = "MemoryError",
                   .message = "model does not fit", .steps = {CALL(CATALOG_LIST, 1)}},
    [CART_GET] = {.service = SM_DEMO_CART, .protocol = SM_DEMO_GRPC, .method = "GetCart", .route = "shop.Cart", .ms = 0.7,
                  .spread = 0.4, .steps = {QUERY(CART_READ)}},
    [CART_ADD] = {.service = SM_DEMO_CART, .protocol = SM_DEMO_GRPC, .method = "AddItem", .route = "shop.Cart", .ms = 0.9,
                  .spread = 0.4, .steps = {QUERY(CART_READ), QUERY(CART_WRITE)}},
    [CHECKOUT] = {.service = SM_DEMO_CHECKOUT, .protocol = SM_DEMO_GRPC, .method = "PlaceOrder", .route = "shop.Checkout", .ms = 5,
                  .spread = 0.5,
                  .steps = {CALL(CART_GET, 1), CALL(CHARGE, 1), CALL(SHIP, 1), QUERY(ORDER_INSERT), PUBLISH(CONFIRM)}},
    [CHARGE] = {.service = SM_DEMO_PAYMENT, .protocol = SM_DEMO_GRPC, .method = "Charge", .route = "shop.Payment", .ms = 45,
                .spread = 0.6, .slow = 0.04, .fails = 0.06, .error = "PaymentDeclined", .message = "card declined by issuer"},
    [QUOTE] = {.service = SM_DEMO_SHIPPING, .protocol = SM_DEMO_HTTP, .method = "POST", .route = "/quote", .ms = 3, .spread = 0.5},
    [SHIP] = {.service = SM_DEMO_SHIPPING, .protocol = SM_DEMO_HTTP, .method = "POST", .route = "/ship", .ms = 12, .spread = 0.7,
              .fails = 0.01, .error = "CarrierTimeout", .message = "carrier did not answer in time"},
    [CONFIRM] = {.service = SM_DEMO_EMAIL, .protocol = SM_DEMO_TOPIC, .method = "email", .route = "orders", .ms = 25,
                 .spread = 0.6, .fails = 0.02, .error = "SMTPServerBusy", .message = "421 try again later"},
};

const unsigned sm_demo_operation_count = OPERATIONS;

const struct sm_demo_operation sm_demo_proxied = {.service = SM_DEMO_FRONTEND, .method = "GET", .route = "/api/currencies",
                                                  .ms = 2, .spread = 0.5, .slow = 0.02, .fails = 0.03,
                                                  .error = "RateFeedError", .message = "exchange rates are stale"};
