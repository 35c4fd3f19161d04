package acme

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

func (o *orderFlow) finalize(ctx context.Context, order acme.Order, saved *savedOrder) (acme.Order, error) {
	key, err := parseKey(saved.Key)
	if err != nil {
		return order, lostOrderError{errors.New("the key of the order in progress cannot be read")}
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: saved.Names}, key)
	if err != nil {
		return order, err
	}
	location := order.Location
	if order.Status == acme.StatusProcessing {
		order, err = o.waitIssued(ctx, order)
	} else {
		order, err = o.ca.client.FinalizeOrder(ctx, o.account, order, request)
	}
	order.Location = location
	if err == nil {
		return order, nil
	}
	if order.Status == acme.StatusInvalid {
		// acmez's error only says that the order is invalid.
		return order, lostOrderError{o.ca.describe(orderProblem(order))}
	}
	return order, o.ca.describe(err)
}

// waitIssued polls an order that was finalized before a restart.
func (o *orderFlow) waitIssued(ctx context.Context, order acme.Order) (acme.Order, error) {
	for range int(pollTimeout / time.Second) {
		select {
		case <-ctx.Done():
			return order, ctx.Err()
		case <-time.After(time.Second):
		}
		var err error
		if order, err = o.ca.client.GetOrder(ctx, o.account, order); err != nil {
			return order, err
		}
		switch order.Status {
		case acme.StatusValid:
			return order, nil
		case acme.StatusInvalid:
			return order, orderProblem(order)
		}
	}
	return order, unavailableError{fmt.Errorf("the authority has not issued the certificate in %s", pollTimeout)}
}
