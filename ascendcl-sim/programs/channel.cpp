// Tensor channels: what is sent comes out again, with its shape.
#include "acl/acl_tdt.h"
#include "check.h"

int main()
{
    begin(0);
    acltdtChannelHandle *channel = acltdtCreateChannelWithCapacity(0, "programs", 2);
    if (chip() == ASCEND_310P) {
        TRUE(channel == nullptr);
        TRUE(aclGetRecentErrMsg() != nullptr);
        printf("not on this chip\n");
        return finish();
    }
    TRUE(channel != nullptr);
    const int64_t dims[] = {2, 2};
    float values[] = {1, 2, 3, 4};
    acltdtDataItem *item = acltdtCreateDataItem(ACL_TENSOR_DATA_TENSOR, dims, 2, ACL_FLOAT, values, sizeof values);
    TRUE(item != nullptr);
    acltdtDataset *sent = acltdtCreateDataset(), *received = acltdtCreateDataset();
    OK(acltdtAddDataItem(sent, item));
    EXPECT(acltdtGetDatasetSize(sent), 1);
    EXPECT(acltdtReceiveTensor(channel, received, 0), 207013);
    OK(acltdtSendTensor(channel, sent, 0));
    // Sending copies.
    values[0] = 9;
    size_t waiting = 0;
    OK(acltdtQueryChannelSize(channel, &waiting));
    EXPECT(waiting, 1);
    OK(acltdtSendTensor(channel, sent, 0));
    EXPECT(acltdtSendTensor(channel, sent, 0), 207014);
    for (int i = 0; i < 2; i++) {
        OK(acltdtReceiveTensor(channel, received, 0));
        EXPECT(acltdtGetDatasetSize(received), 1);
        const acltdtDataItem *got = acltdtGetDataItem(received, 0);
        TRUE(got != nullptr);
        EXPECT(acltdtGetTensorTypeFromItem(got), ACL_TENSOR_DATA_TENSOR);
        EXPECT(acltdtGetDataTypeFromItem(got), ACL_FLOAT);
        EXPECT(acltdtGetDimNumFromItem(got), 2);
        int64_t back[2] = {0, 0};
        OK(acltdtGetDimsFromItem(got, back, 2));
        TRUE(back[0] == 2 && back[1] == 2);
        EXPECT(acltdtGetDataSizeFromItem(got), sizeof values);
        TRUE(static_cast<const float *>(acltdtGetDataAddrFromItem(got))[0] == (i == 0 ? 1.0f : 9.0f));
    }
    OK(acltdtDestroyDataset(received));
    OK(acltdtDestroyDataset(sent));
    OK(acltdtDestroyDataItem(item));
    OK(acltdtStopChannel(channel));
    OK(acltdtDestroyChannel(channel));
    end(0);
    return finish();
}
