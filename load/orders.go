package load

import (
	"time"

	"github.com/clewtrace/clew/trace"
)

// checkout is the longest request: prices, payment, delivery, and what follows the order through a queue.
func checkout() step {
	f := from{"checkout", 0}
	item := do(local(from{"checkout", 1}, "prepareItem", 80*time.Microsecond, with(code("main.(*checkout).prepareItem", "main.go", 512),
		text("app.product.id", "{product}"), number("app.quantity", 1, 10))...), product(f), stock(f), convert(f))
	prepare := do(local(from{"checkout", 1}, "prepareOrderItemsAndShippingQuoteFromCart", 200*time.Microsecond, with(code("main.(*checkout).prepare", "main.go", 467),
		text("app.user.id", "u-{user}"), number("app.cart.items", 1, 12), text("app.order.id", "{order}"))...), getCart(f), item.repeat(1, 4), shippingQuote(f))
	place := rpc(web, method{"checkout", 0, "shop.checkout.v1.Checkout", "PlaceOrder", 900 * time.Microsecond, 0, nil, []attr{
		text("app.user.id", "u-{user}"), text("app.order.id", "{order}"), {"app.order.amount", value{amount: true}}, choice("app.currency", currencies...),
	}}, prepare, charge().retry(2), ship(), publish())
	return edge("POST", "/checkout", "/checkout", validate(), place)
}

func charge() step {
	bank := visit(from{"payment", 1}, method{"gateway", 0, "POST", "/v2/charges", 900 * time.Microsecond, 0.02, errBank, []attr{
		text("app.order.id", "{order}"),
	}}, "/v2/charges")
	bank.op.median, bank.op.spread = 70*time.Millisecond, wild
	check := local(from{"payment", 2}, "validateCard", 150*time.Microsecond, with(code("charge.validate", "/usr/src/app/charge.js", 37),
		choice("app.payment.card_type", "visa", "mastercard", "amex"), truth("app.payment.card_valid", true), text("app.order.id", "{order}"))...)
	return rpc(from{"checkout", 0}, method{"payment", 0, "shop.payment.v1.Payment", "Charge", 1200 * time.Microsecond, 0.03, errCard, []attr{
		{"app.payment.amount", value{amount: true}}, text("app.payment.transaction_id", "{x8}-{x4}-4{x3}-9{x3}-{x12}"), text("app.user.id", "u-{user}"),
	}}, do(check), bank)
}

func ship() step {
	label := local(from{"shipping", 1}, "createLabel", 250*time.Microsecond, text("code.function.name", "shipping::label::create"), text("code.file.path", "src/label.rs"),
		text("app.shipping.tracking_id", "{x8}-{x4}-5{x3}-8{x3}-{x12}"), choice("app.country", countries...), text("app.order.id", "{order}"))
	return visit(from{"checkout", 0}, method{"shipping", 0, "POST", "/ship-order", 700 * time.Microsecond, 0.001, errUpstream, []attr{
		text("app.order.id", "{order}"), choice("app.country", countries...),
	}}, "/ship-order", do(label))
}

// publish puts the order on a queue: two services go on with the trace, a third one begins its own and links to this one.
func publish() step {
	send := &operation{service: "checkout", scope: 2, name: "publish orders", kind: trace.KindProducer, attrs: kafka("orders", "publish"), median: 900 * time.Microsecond, spread: wild}
	receive := func(service, group string, more ...attr) *operation {
		return &operation{
			service: service, name: "process orders", kind: trace.KindConsumer, median: 2 * time.Millisecond, spread: usual,
			attrs: with(kafka("orders", "process"), with(more, text("messaging.consumer.group.name", group))...),
		}
	}
	insert := database(from{"accounting", 1}, "INSERT accounting", 2*time.Millisecond, with(sql("accounting", "INSERT", "orders",
		"INSERT INTO orders (id, amount, currency, placed_at) VALUES ($1, $2, $3, now())"), text("app.order.id", "{order}")))
	score := local(from{"fraud", 2}, "score", 6*time.Millisecond, with(thread("fraud-scorer-"), with(code("fraud.Scorer.score", "Scorer.kt", 77),
		text("app.model.name", "gbt-2026-08"), attr{"app.fraud.score", value{amount: true}}, text("app.order.id", "{order}"))...)...)
	history := database(from{"fraud", 1}, "SELECT fraud.orders", 3*time.Millisecond, with(sql("fraud", "SELECT", "orders",
		"select o.id, o.amount, o.country from orders o where o.user_id = ? and o.placed_at > ?"), thread("fraud-consumer-")...))
	mail := &operation{
		service: "email", scope: 1, name: "smtp send", kind: trace.KindClient, median: 120 * time.Millisecond, spread: wild, fails: 0.01, throws: errMail,
		attrs: []attr{
			text("server.address", "smtp.shop.svc.cluster.local"), integer("server.port", 25), text("app.mail.template", "order_confirmation"),
			text("app.order.id", "{order}"), choice("app.mail.language", "de", "en", "fr", "nl", "es"), number("app.mail.bytes", 17_000, 60_000),
			text("messaging.message.id", "<{x16}@shop.example.com>"),
		},
	}
	return do(send,
		do(receive("accounting", "accounting"), do(insert)),
		do(receive("fraud", "fraud", thread("fraud-consumer-")...), do(history), do(score)),
		do(receive("email", "email"), do(mail).retry(1)).apart(),
	)
}

// stockSync is a scheduled job: one query for each of many products.
func stockSync() step {
	f := from{"inventory", 1}
	job := &operation{
		service: "inventory", scope: 2, name: "StockSync.run", kind: trace.KindInternal, median: 3 * time.Millisecond, spread: usual,
		attrs: with(thread("scheduling-"), with(code("shop.inventory.StockSync.run", "StockSync.java", 58), text("job.system", "spring_scheduling"))...),
	}
	all := database(f, "SELECT inventory.products", 12*time.Millisecond, with(sql("inventory", "SELECT", "products", "SELECT id FROM products WHERE synced_at < ?"), thread("scheduling-")...))
	one := database(f, "UPDATE inventory.stock", 1500*time.Microsecond, with(sql("inventory", "UPDATE", "stock", "UPDATE stock SET quantity = ?, synced_at = now() WHERE product_id = ?"),
		with(thread("scheduling-"), text("db.query.parameter.1", "{product}"))...))
	return do(job, do(all), do(one).repeat(40, 220))
}
