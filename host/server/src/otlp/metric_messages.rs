//! Metrics in the messages of the protocol: the same names, labels and values that `/metrics` shows.

use std::time::SystemTime;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use prost::Message as _;

use super::messages::{About, text, unix_nano};
use tidegate_core::telemetry::{Family, FamilyKind, Point, Value};

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
/// The unit of times.
const SECONDS: &str = "s";

/// The body of a request with these metrics.
pub(super) fn request(about: &About, families: &[Family]) -> Vec<u8> {
    let now = unix_nano(SystemTime::now());
    let metrics = families.iter().map(|family| message(family, about.since_unix_nano, now)).collect();
    let scope_metrics = vec![ScopeMetrics { scope: Some(about.scope.clone()), metrics, ..ScopeMetrics::default() }];
    let resource = Some(about.resource.clone());
    let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn message(family: &Family, since: u64, now: u64) -> Metric {
    let Family { name, help, kind, points } = family;
    let numbers = |since| points.iter().filter_map(move |point| number(point, since, now)).collect();
    let data = match kind {
        FamilyKind::Counter => {
            Data::Sum(Sum { data_points: numbers(since), aggregation_temporality: CUMULATIVE, is_monotonic: true })
        }
        FamilyKind::Gauge => Data::Gauge(Gauge { data_points: numbers(0) }),
        FamilyKind::Histogram => Data::Histogram(Histogram {
            data_points: points.iter().filter_map(|point| histogram(point, since, now)).collect(),
            aggregation_temporality: CUMULATIVE,
        }),
    };
    let unit = if *kind == FamilyKind::Histogram { SECONDS } else { "" };
    Metric {
        name: name.clone(),
        description: help.clone(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number(point: &Point, since: u64, now: u64) -> Option<NumberDataPoint> {
    let Value::Number(value) = point.value else { return None };
    Some(NumberDataPoint {
        attributes: attributes(point),
        start_time_unix_nano: since,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    })
}

fn histogram(point: &Point, since: u64, now: u64) -> Option<HistogramDataPoint> {
    let Value::Histogram { bounds, counts, sum } = &point.value else { return None };
    Some(HistogramDataPoint {
        attributes: attributes(point),
        start_time_unix_nano: since,
        time_unix_nano: now,
        count: counts.iter().sum(),
        sum: Some(*sum),
        bucket_counts: counts.clone(),
        explicit_bounds: bounds.clone(),
        ..HistogramDataPoint::default()
    })
}

fn attributes(point: &Point) -> Vec<KeyValue> {
    point.labels.iter().map(|(name, value)| text(name, value)).collect()
}
