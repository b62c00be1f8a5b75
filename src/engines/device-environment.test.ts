import { expect, test } from 'vitest'
import { deviceEnvironment } from './device-environment.ts'
import { CPU, gpu } from './launch.testing.ts'

const amd = (index: number) => gpu(index, { kind: 'rocm', id: `GPU-amd${index}`, index })

test('NVIDIA devices go by UUID, or by index for engines that read numbers only', () => {
  const devices = [gpu(1, { index: 1 }), gpu(3, { index: 3 })]
  const uuids = `${devices[0]?.id},${devices[1]?.id}`
  expect(deviceEnvironment(devices)).toEqual({ CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: uuids })
  expect(deviceEnvironment(devices, 'index')).toEqual({
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    CUDA_VISIBLE_DEVICES: '1,3',
  })
})

test('without an index, and for a MIG slice, the UUID is all there is', () => {
  expect(deviceEnvironment([gpu(0)], 'index')).toMatchObject({ CUDA_VISIBLE_DEVICES: gpu(0).id })
  const slice = gpu(0, { id: 'MIG-377e0049-554c', index: 0 })
  expect(deviceEnvironment([slice], 'index')).toMatchObject({ CUDA_VISIBLE_DEVICES: slice.id })
})

test('AMD and Ascend devices have their own variables', () => {
  expect(deviceEnvironment([amd(0), amd(2)])).toEqual({ HIP_VISIBLE_DEVICES: '0,2' })
  const { index: _index, ...unindexed } = amd(0)
  expect(deviceEnvironment([unindexed])).toEqual({ ROCR_VISIBLE_DEVICES: 'GPU-amd0' })
  expect(deviceEnvironment([gpu(0, { kind: 'ascend', index: 5 })])).toEqual({
    ASCEND_RT_VISIBLE_DEVICES: '5',
  })
  expect(deviceEnvironment([gpu(0, { kind: 'metal' })])).toEqual({})
})

test('on processors every accelerator is hidden', () => {
  for (const devices of [[], [CPU]]) {
    expect(deviceEnvironment(devices)).toEqual({
      CUDA_VISIBLE_DEVICES: '-1',
      HIP_VISIBLE_DEVICES: '-1',
      ASCEND_RT_VISIBLE_DEVICES: '-1',
    })
  }
})
