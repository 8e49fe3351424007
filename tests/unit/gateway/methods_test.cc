// The list of methods against the contract: a method that is missing somewhere fails here.
#include "server/gateway/methods.h"

#include <set>
#include <string>
#include <tuple>
#include <type_traits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace engine::db::gateway {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::MethodDescriptor;
using ::google::protobuf::ServiceDescriptor;
using ::testing::UnorderedElementsAreArray;

template <typename List, typename Visit>
void ForEach(const List& list, Visit visit) {
  std::apply([&](const auto&... method) { (visit(method), ...); }, list);
}

// The service of the file that declares `Message`.
template <typename Message>
const ServiceDescriptor& Service(const char* name) {
  return *Message::descriptor()->file()->FindServiceByName(name);
}

template <typename List>
std::set<std::string> NamesIn(const List& list) {
  std::set<std::string> names;
  ForEach(list, [&](const auto& method) { names.emplace(method.name); });
  EXPECT_EQ(names.size(), std::tuple_size_v<List>) << "a method stands twice";
  return names;
}

std::set<std::string> NamesIn(const ServiceDescriptor& service) {
  std::set<std::string> names;
  for (int i = 0; i < service.method_count(); ++i) names.insert(service.method(i)->name());
  return names;
}

template <typename Request, typename Output>
void ExpectAsInContract(const Method<Request, Output>& method, const ServiceDescriptor& service) {
  SCOPED_TRACE(std::string(method.name));
  const MethodDescriptor* of = service.FindMethodByName(std::string(method.name));
  ASSERT_NE(of, nullptr);
  EXPECT_EQ(of->input_type(), Request::descriptor());
  EXPECT_FALSE(of->client_streaming());
  if constexpr (std::is_same_v<Output, RowSink>) {
    EXPECT_TRUE(of->server_streaming());
  } else {
    EXPECT_FALSE(of->server_streaming());
    EXPECT_EQ(of->output_type(), Output::descriptor());
  }
}

TEST(Methods, AreThoseOfTheConnectorsService) {
  const ServiceDescriptor& service = Service<v1::ConnectRequest>("DatabaseConnector");
  std::set<std::string> wanted = NamesIn(service);
  wanted.erase("Session");  // carries the others
  EXPECT_THAT(NamesIn(kConnectorMethods), UnorderedElementsAreArray(wanted));
  ForEach(kConnectorMethods, [&](const auto& method) { ExpectAsInContract(method, service); });
}

TEST(Methods, AreThoseOfTheAdminService) {
  const ServiceDescriptor& service = Service<v1::GetStatusRequest>("GatewayAdmin");
  EXPECT_THAT(NamesIn(kAdminMethods), UnorderedElementsAreArray(NamesIn(service)));
  ForEach(kAdminMethods, [&](const auto& method) { ExpectAsInContract(method, service); });
}

// The field of a oneof by which a session carries the method.
template <typename Request, typename Output>
const FieldDescriptor* SessionField(const Method<Request, Output>& method) {
  return v1::SessionCall::descriptor()->FindFieldByNumber(method.session_case);
}

TEST(Methods, AreAllCarriedBySessions) {
  std::set<std::string> carried;
  ForEach(kConnectorMethods, [&](const auto& method) {
    SCOPED_TRACE(std::string(method.name));
    const FieldDescriptor* field = SessionField(method);
    ASSERT_NE(field, nullptr);
    carried.insert(field->name());
    // The row's accessor reads the field of its case.
    v1::SessionCall call;
    const auto& absent = (call.*method.session_request)();
    EXPECT_EQ(field->message_type(), absent.GetDescriptor());
    call.GetReflection()->MutableMessage(&call, field);
    EXPECT_EQ(call.call_case(), method.session_case);
    EXPECT_NE(&(call.*method.session_request)(), &absent) << "reads another field";
  });
  carried.insert({"cancel", "credit"});  // about calls; no calls themselves
  std::set<std::string> wanted;
  const auto* oneof = v1::SessionCall::descriptor()->FindOneofByName("call");
  for (int i = 0; i < oneof->field_count(); ++i) wanted.insert(oneof->field(i)->name());
  EXPECT_THAT(carried, UnorderedElementsAreArray(wanted));
}

TEST(Methods, AnswerOnSessionsUnderTheirOwnName) {
  ForEach(kConnectorMethods, [](const auto& method) {
    SCOPED_TRACE(std::string(method.name));
    v1::SessionReply reply;
    if (method.session_response == nullptr) {
      EXPECT_EQ(method.name, "ExecuteStream") << "only a stream has no one response";
      return;
    }
    (reply.*method.session_response)();
    const FieldDescriptor* set =
        reply.GetReflection()->GetOneofFieldDescriptor(reply, v1::SessionReply::descriptor()->FindOneofByName("reply"));
    ASSERT_NE(set, nullptr);
    EXPECT_EQ(set->name(), SessionField(method)->name());
  });
}

TEST(Methods, AreCountedUnderTheirNameInTheContract) {
  EXPECT_EQ(kCountedMethods.size(), std::tuple_size_v<decltype(kConnectorMethods)>);
  EXPECT_EQ(kCountedMethods[CountedAs("ExecuteStream")], "ExecuteStream");
  EXPECT_EQ(CountedAs("ListPools"), kCountedMethods.size()) << "operators are not counted";
}

}  // namespace
}  // namespace engine::db::gateway
