/* Data buffers, tensor descriptions, sizes of types, half precision: what needs no device. */
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
    return finish();
}
