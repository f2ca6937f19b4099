/* Data buffers, tensor descriptions, sizes of types, half precision: what needs no device. */
#include "acl/acl_mdl.h"
#include "check.h"

int main(void)
{
    EXPECT(aclDataTypeSize(ACL_FLOAT), 4);
    EXPECT(aclDataTypeSize(ACL_FLOAT16), 2);
    EXPECT(aclDataTypeSize(ACL_INT8), 1);
    EXPECT(aclDataTypeSize(ACL_DOUBLE), 8);
    EXPECT(aclDataTypeSize(ACL_BOOL), 1);
    EXPECT(aclDataTypeSize(ACL_STRING), 0);
    TRUE(aclFloat16ToFloat(aclFloatToFloat16(1.5f)) == 1.5f);
    TRUE(aclFloat16ToFloat(aclFloatToFloat16(1e9f)) == 65504.0f);

    char bytes[16];
    aclDataBuffer *buffer = aclCreateDataBuffer(bytes, sizeof bytes);
    TRUE(buffer != NULL);
    TRUE(aclGetDataBufferAddr(buffer) == bytes);
    EXPECT(aclGetDataBufferSizeV2(buffer), sizeof bytes);
    EXPECT(aclUpdateDataBuffer(buffer, bytes + 8, 8), 0);
    TRUE(aclGetDataBufferAddr(buffer) == bytes + 8);
    EXPECT(aclUpdateDataBuffer(NULL, bytes, 8), 100000);
    EXPECT(aclDestroyDataBuffer(buffer), 0);
    EXPECT(aclDestroyDataBuffer(NULL), 100000);
    TRUE(aclGetDataBufferAddr(NULL) == NULL);

    const int64_t dims[] = {2, 3, 4};
    aclTensorDesc *desc = aclCreateTensorDesc(ACL_FLOAT16, 3, dims, ACL_FORMAT_NCHW);
    TRUE(desc != NULL);
    EXPECT(aclGetTensorDescType(desc), ACL_FLOAT16);
    EXPECT(aclGetTensorDescFormat(desc), ACL_FORMAT_NCHW);
    EXPECT(aclGetTensorDescNumDims(desc), 3);
    EXPECT(aclGetTensorDescElementCount(desc), 24);
    EXPECT(aclGetTensorDescSize(desc), 48);
    int64_t dim = 0;
    EXPECT(aclGetTensorDescDimV2(desc, 2, &dim), 0);
    EXPECT(dim, 4);
    TRUE(aclGetTensorDescDimV2(desc, 3, &dim) != 0);
    aclSetTensorDescName(desc, "input");
    TRUE(strcmp(aclGetTensorDescName(desc), "input") == 0);
    aclDestroyTensorDesc(desc);
    return finish();
}
